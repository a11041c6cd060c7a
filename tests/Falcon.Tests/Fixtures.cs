namespace Falcon.Tests;

/// <summary>Where golden numbers, real models and data lie for the tests.</summary>
internal static class Fixtures
{
    /// <summary>The repository root: the nearest folder above the test program that holds Falcon.slnx.</summary>
    public static string RepositoryRoot { get; } = FindRoot();

    /// <summary>
    /// The folder named by FALCON_FIXTURES (subfolders falcon, metrics, tokenizers, safetensors, chat-templates, families, gguf), else the
    /// tests' own copy.
    /// </summary>
    public static string Root { get; } =
        Environment.GetEnvironmentVariable("FALCON_FIXTURES") is { Length: > 0 } named
            ? Path.GetFullPath(named)
            : Path.Combine(RepositoryRoot, "tests", "fixtures");

    /// <summary>A path below <see cref="Root"/>.</summary>
    public static string At(params string[] parts) => Path.Combine([Root, .. parts]);

    /// <summary>A path below <see cref="Root"/>, or a skipped test where that folder has no such file or directory.</summary>
    public static string AtOrSkip(params string[] parts)
    {
        var path = At(parts);
        if (!File.Exists(path) && !Directory.Exists(path)) Assert.Skip($"no fixtures at {path}");
        return path;
    }

    /// <summary>
    /// The names of a theory's cases; one empty name where there are none, so that the test is shown as skipped (<see cref="SkipNone"/>).
    /// </summary>
    public static TheoryData<string> NamesOrNone(IEnumerable<string> names) => [.. names.DefaultIfEmpty("")];

    /// <summary>Skips a test whose case is the empty name of <see cref="NamesOrNone"/>.</summary>
    public static void SkipNone(string name, params string[] parts) => Assert.SkipWhen(name.Length == 0, $"no fixtures at {At(parts)}");

    /// <summary>
    /// A path below the shared folder beside the repository (other people's data and models), or a skipped test where it is absent.
    /// </summary>
    public static string SharedOrSkip(params string[] parts)
    {
        var path = Path.Combine([RepositoryRoot, "..", "shared", .. parts]);
        if (!File.Exists(path) && !Directory.Exists(path))
            Assert.Skip($"needs ../shared/{string.Join('/', parts)}, which is not on this machine");
        return Path.GetFullPath(path);
    }

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "Falcon.slnx"))) return folder.FullName;
        throw new DirectoryNotFoundException("Falcon.slnx was not found above the test program.");
    }
}
