namespace Falcon.Tests.Architecture;

/// <summary>A file can be read on one screen's width, in one sitting, and found in its folder.</summary>
public class SourceSizeTests
{
    private const int Columns = 140, Lines = 300, FilesInAFolder = 20;

    private static readonly string[] Written =
    [
        .. new[] { "src", "tests", "samples", "bench" }
            .SelectMany(folder =>
                Directory.EnumerateFiles(Path.Combine(Fixtures.RepositoryRoot, folder), "*.cs", SearchOption.AllDirectories)
            )
            .Select(file => Path.GetRelativePath(Fixtures.RepositoryRoot, file).Replace('\\', '/'))
            .Where(file => !file.Contains("/bin/", StringComparison.Ordinal) && !file.Contains("/obj/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal),
    ];

    [Fact]
    public void Lines_OfEveryFile_AreAtMost140ColumnsWide() => Assert.Empty(TooWide(Written, Read));

    [Fact]
    public void Files_Everywhere_HaveAtMost300Lines() => Assert.Empty(TooLong(Written, Read));

    [Fact]
    public void Folders_Everywhere_HoldAtMost20Files() => Assert.Empty(TooFull(Written));

    [Fact]
    public void Limits_OneMore_IsReported()
    {
        string[] Page(string file) => [.. Enumerable.Repeat(new string('x', file == "wide.cs" ? 141 : 140), file == "long.cs" ? 301 : 300)];
        Assert.Equal(300, TooWide(["fits.cs", "wide.cs"], Page).Count());
        Assert.Equal(["long.cs has 301 lines"], TooLong(["fits.cs", "long.cs"], Page));
        Assert.Equal(
            ["b holds 21 files"],
            TooFull([.. Enumerable.Range(0, 20).Select(i => $"a/{i}.cs"), .. Enumerable.Range(0, 21).Select(i => $"b/{i}.cs")])
        );
    }

    private static IEnumerable<string> TooWide(IEnumerable<string> files, Func<string, string[]> read) =>
        from file in files
        from line in read(file).Index()
        where line.Item.Length > Columns
        select $"{file}:{line.Index + 1} is {line.Item.Length} columns wide";

    private static IEnumerable<string> TooLong(IEnumerable<string> files, Func<string, string[]> read) =>
        from file in files let lines = read(file).Length where lines > Lines select $"{file} has {lines} lines";

    private static IEnumerable<string> TooFull(IEnumerable<string> files) =>
        from folder in files.GroupBy(file => file[..file.LastIndexOf('/')])
        where folder.Count() > FilesInAFolder
        select $"{folder.Key} holds {folder.Count()} files";

    private static string[] Read(string file) => File.ReadAllLines(Path.Combine(Fixtures.RepositoryRoot, file));
}
