using System.Diagnostics;
using System.Globalization;
using Falcon.Cli;
using Falcon.Tests.Cli;
using Falcon.Tests.Packaging;

namespace Falcon.Tests.Documentation;

/// <summary>
/// Every command of the documentation: all of Falcon's parse and run, in the order of the pages, in one folder with small files under the
/// names that the pages use; what other commands name must exist.
/// </summary>
public sealed class ShownCommandsTests
{
    [Fact]
    public void Commands_OfFalcon_Parse()
    {
        var commands = ShownCommand.All().Where(command => command.IsFalcon).ToList();
        using var errors = new StringWriter();
        using var output = new StringWriter();
        var root = new CommandLineApp(output, TestConsole.Redirected(errors), TimeProvider.System, CancellationToken.None).CreateRoot();
        var wrong = commands
            .Where(command => command.Words.Count > 1)
            .Select(command => (command.Place, root.Parse([.. command.Words.Skip(1)]).Errors))
            .Where(parsed => parsed.Errors.Count > 0 && !commands.Single(command => command.Place == parsed.Place).Words.Contains("--help"))
            .Select(parsed => $"{parsed.Place}: {parsed.Errors[0].Message}");
        Assert.Empty(wrong);
        Assert.True(commands.Count >= 10, $"only {commands.Count} commands were found");
    }

    [Fact]
    public async Task Commands_OfFalcon_Run()
    {
        using var folder = await DocumentedFolder.Create();
        List<string> run = [];
        foreach (var command in ShownCommand.All().Where(command => command.IsFalcon))
        {
            var clock = Stopwatch.StartNew();
            await ProgramRun.Of(
                "dotnet",
                folder.Path,
                folder.Variables(command.Words),
                [folder.Program, .. command.Words.Skip(1), .. Shorter(command.Words)]
            );
            run.Add(
                string.Create(CultureInfo.InvariantCulture, $"{command.Place} ({command.Words[1]}, {clock.Elapsed.TotalSeconds:0.0} s)")
            );
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"run: {string.Join(", ", run)}");
        Assert.True(run.Count >= 15, $"only {string.Join(", ", run)} ran");
        Assert.True(File.Exists(folder.At("runs", "demo", "report.html")));
        Assert.Equal(["wmdp-bio"], Directory.EnumerateFileSystemEntries(folder.At("data", "wmdp")).Select(path => Path.GetFileName(path)));
        Assert.Equal(
            File.ReadAllBytes(folder.At("DIR", "model.safetensors")),
            File.ReadAllBytes(folder.At("models", "original", "model.safetensors"))
        );
    }

    /// <summary>The commands behind a mark such as "needs: network", by place.</summary>
    public static TheoryData<string> Marked() =>
        [.. ShownCommand.All().Where(command => command.Needs is not null).Select(command => command.Place)];

    // The test above runs them with a hub and models of its own; this one as they are, where what they need is there.
    [Theory]
    [MemberData(nameof(Marked))]
    public async Task Commands_ThatNeedSomething_RunWhereItIs(string place)
    {
        var command = ShownCommand.All().Single(command => command.Place == place);
        if (command.Needs == "network" && Environment.GetEnvironmentVariable("FALCON_NETWORK") != "1")
            Assert.Skip("it needs a network; FALCON_NETWORK=1 says that there is one");
        var model = command.Words.SkipWhile(word => word is not ("--model" or "--base")).ElementAtOrDefault(1);
        if (command.Needs == "model" && model is not null)
            Assert.SkipUnless(Directory.Exists(Path.Combine(Fixtures.RepositoryRoot, model)), $"it needs the model {model}");
        Assert.Contains(command.Needs, new[] { "network", "model" });
        using var folder = await DocumentedFolder.Create();
        var variables = command.Needs == "network" ? new() { ["HF_HOME"] = folder.At("hub-home") } : folder.Variables(command.Words);
        await ProgramRun.Of("dotnet", folder.Path, variables, [folder.Program, .. command.Words.Skip(1), .. Shorter(command.Words)]);
    }

    [Fact]
    public void OtherCommands_NameWhatIsThere()
    {
        foreach (var command in ShownCommand.All().Where(command => !command.IsFalcon))
        {
            if (command.Words[0] != "dotnet")
                Assert.True(File.Exists(Path.Combine(Fixtures.RepositoryRoot, command.Words[0])), command.Place);
            for (var i = 0; i + 1 < command.Words.Count; i++)
            {
                if (command.Words[i] == "--project")
                    Assert.True(
                        Directory.Exists(Path.Combine(Fixtures.RepositoryRoot, command.Words[i + 1])),
                        $"{command.Place}: {command.Words[i + 1]}"
                    );
                if (command.Words[i] == "--filter-class")
                    Assert.True(
                        typeof(ShownCommandsTests).Assembly.GetType(command.Words[i + 1]) is not null,
                        $"{command.Place}: {command.Words[i + 1]}"
                    );
                if (command.Words[i] == "--filter-namespace")
                    Assert.Contains(typeof(ShownCommandsTests).Assembly.GetTypes(), type => type.Namespace == command.Words[i + 1]);
                if (command.Words[i] == "--filter-method")
                    Assert.Contains(typeof(ShownCommandsTests).Assembly.GetTypes().SelectMany(type => type.GetMethods()), method =>
                        method.Name.Contains(command.Words[i + 1].Trim('*'), StringComparison.Ordinal)
                    );
            }
        }
    }

    [Theory]
    [InlineData("a  'b c' \"d\" # e", "a|b c|d")]
    [InlineData("x#y '#'", "x#y|#")]
    public void Split_IsThatOfAShell(string line, string expected) => Assert.Equal(expected.Split('|'), ShownCommand.Split(line));

    // Added to a command so that it ends within seconds. The demo is shortened by its files.
    private static IEnumerable<string> Shorter(IReadOnlyList<string> words) => words[1] switch
    {
        "unlearn" => ["--set", "steps=2", "--device", "cpu"],
        "evaluate" => ["--rouge-samples", "1", "--device", "cpu"],
        "attack" when words.Contains("--budget") => ["--device", "cpu"],
        "attack" => ["--budget", "quick", "--attacks", "paraphrases,quantization", "--device", "cpu"], // the demo runs most of them
        "demo" => ["--device", "cpu"],
        _ => [],
    };
}
