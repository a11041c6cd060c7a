namespace Falcon.Tests.Packaging;

/// <summary>
/// The packages as a user gets them: packed, installed from a folder, run. Packed without libtorch (460 MB), which is taken from this
/// build.
/// </summary>
public sealed class PackageTests : IDisposable
{
    private const string Configuration = "Release";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static Dictionary<string, string?> WithLibTorch => new() { ["LD_LIBRARY_PATH"] = ProgramRun.NativeLibraries };

    [Fact]
    public async Task Sample_IsShort_AndUnlearns()
    {
        var sample = Path.Combine(Fixtures.RepositoryRoot, "samples", "Unlearn");
        Assert.InRange(File.ReadAllLines(Path.Combine(sample, "Program.cs")).Length, 1, 39);
        var program = Directory
            .EnumerateFiles(Path.Combine(sample, "bin"), "Unlearn.dll", SearchOption.AllDirectories)
            .Where(path => path.Contains(BuildOf(AppContext.BaseDirectory), StringComparison.Ordinal))
            .First();

        var output = await ProgramRun.Of("dotnet", _folder.Path, null, [program, .. SampleArguments()]);

        Assert.Contains("Forget: forget: probability of the answers: ", output, StringComparison.Ordinal);
        Assert.True(File.Exists(_folder.At("run", "model", "model.safetensors")));
    }

    [Fact]
    public async Task Packages_InstalledFromAFolder_Run()
    {
        await ProgramRun.RequireSdk();
        if (!OperatingSystem.IsLinux()) Assert.Skip("takes libtorch from this build by a Linux search path");
        foreach (var project in new[] { "Falcon", "Falcon.Cli" })
            await ProgramRun.Of(
                "dotnet",
                Fixtures.RepositoryRoot,
                null,
                "pack",
                Path.Combine("src", project, project + ".csproj"),
                "-c",
                Configuration,
                "-p:TorchBackend=external",
                "-p:RunAnalyzers=false", // the build of these tests ran them
                "--artifacts-path",
                _folder.At("artifacts"),
                "-o",
                _folder.At("packages")
            );
        Assert.Equal(
            ["Falcon.Unlearning", "Falcon.Unlearning.Tool"],
            Directory
                .EnumerateFiles(_folder.At("packages"), "*.nupkg")
                .Select(path => string.Join('.', Path.GetFileName(path).Split('.').TakeWhile(part => !char.IsDigit(part[0]))))
                .Order(StringComparer.Ordinal)
        );

        await ProgramRun.Of(
            "dotnet",
            _folder.Path,
            null,
            "tool",
            "install",
            "Falcon.Unlearning.Tool",
            "--tool-path",
            _folder.At("tool"),
            "--source",
            _folder.At("packages")
        );
        var falcon = _folder.At("tool", "falcon");
        Assert.Contains("unlearn", await ProgramRun.Of(falcon, _folder.Path, null, "--help"), StringComparison.Ordinal);
        var model = TinyCheckpoint.Write(_folder.At("tiny"));
        Assert.Contains(
            "\"texts\"",
            await ProgramRun.Of(
                falcon,
                _folder.Path,
                WithLibTorch,
                "generate",
                "--model",
                model,
                "--prompt",
                "What",
                "--max-tokens",
                "2",
                "--device",
                "cpu",
                "--json"
            ),
            StringComparison.Ordinal
        );

        var packages = (await ProgramRun.Of("dotnet", _folder.Path, null, "nuget", "locals", "global-packages", "--list"))
            .Split(": ", 2)[1]
            .Trim();
        Directory.CreateDirectory(_folder.At("consumer"));
        File.Copy(Path.Combine(Fixtures.RepositoryRoot, "samples", "Unlearn", "Program.cs"), _folder.At("consumer", "Program.cs"));
        File.WriteAllText(_folder.At("consumer", "Consumer.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <Nullable>enable</Nullable>
                <ImplicitUsings>enable</ImplicitUsings>
                <NuGetAudit>false</NuGetAudit>
                <RestoreSources>{_folder.At("packages")}</RestoreSources>
                <RestorePackagesPath>{_folder.At("restored")}</RestorePackagesPath>
                <RestoreFallbackFolders>{packages}</RestoreFallbackFolders>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Falcon.Unlearning" Version="0.1.0" />
              </ItemGroup>
            </Project>
            """
        );
        var output = await ProgramRun.Of(
            "dotnet",
            _folder.At("consumer"),
            WithLibTorch,
            ["run", "-c", Configuration, "--", .. SampleArguments()]
        );
        Assert.Contains("Forget: forget: probability of the answers: ", output, StringComparison.Ordinal);
    }

    private string[] SampleArguments() =>
        [
            Directory.Exists(_folder.At("tiny")) ? _folder.At("tiny") : TinyCheckpoint.Write(_folder.At("tiny")),
            TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten"),
            TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept"),
            _folder.At("run"),
            "2",
        ];

    private static string BuildOf(string folder) =>
        folder.Contains($"{Path.DirectorySeparatorChar}Debug{Path.DirectorySeparatorChar}", StringComparison.Ordinal) ? "Debug" : "Release";
}
