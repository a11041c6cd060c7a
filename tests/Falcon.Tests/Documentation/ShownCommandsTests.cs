using Falcon.Cli;
using Falcon.Tests.Cli;
using Falcon.Tests.Packaging;

namespace Falcon.Tests.Documentation;

/// <summary>
/// Every command of the documentation: all of Falcon's must parse; those that take seconds on small inputs are run in the order of the pages, in one folder with small files under the names that the pages use; what other commands name must exist.
/// </summary>
public sealed class ShownCommandsTests : IDisposable
{
    // Parsed, not run: minutes of work, or a network.
    private static readonly string[] ParsedOnly = ["demo", "bench", "train", "attack", "download", "analyze"];

    // Options whose values are read; where one names nothing in the folder, the command needs data that is not here.
    private static readonly string[] Inputs = ["--model", "--base", "--forget", "--retain", "--data", "--patch", "--config", "--reference", "--before", "--compare", "--original", "--control"];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Commands_OfFalcon_Parse()
    {
        var commands = ShownCommand.All().Where(command => command.IsFalcon).ToList();
        using var errors = new StringWriter();
        using var output = new StringWriter();
        var root = new CommandLineApp(output, TestConsole.Redirected(errors), TimeProvider.System, CancellationToken.None).CreateRoot();
        var wrong = commands.Where(command => command.Words.Count > 1).Select(command => (command.Place, root.Parse([.. command.Words.Skip(1)]).Errors)).Where(parsed => parsed.Errors.Count > 0 && !commands.Single(command => command.Place == parsed.Place).Words.Contains("--help"))
            .Select(parsed => $"{parsed.Place}: {parsed.Errors[0].Message}");
        Assert.Empty(wrong);
        Assert.True(commands.Count >= 10, $"only {commands.Count} commands were found");
    }

    [Fact]
    public async Task Commands_OfFalcon_Run()
    {
        var model = TinyCheckpoint.Write(_folder.At("DIR"));
        Directory.CreateDirectory(_folder.At("models"));
        Directory.CreateSymbolicLink(_folder.At("models", "my-model"), model);
        TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten");
        TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept");
        File.WriteAllLines(_folder.At("texts.txt"), ["A plain text.", "Another one."]);
        var program = Path.Combine(Fixtures.RepositoryRoot, "src", "Falcon.Cli", "bin", AppContext.BaseDirectory.Contains("Debug", StringComparison.Ordinal) ? "Debug" : "Release", "net10.0", "Falcon.Cli.dll");

        List<string> run = [], left = [];
        foreach (var command in ShownCommand.All().Where(command => command.IsFalcon && command.Words.Count > 1))
        {
            if (ParsedOnly.Contains(command.Words[1]) || !InputsAreThere(command.Words))
            {
                left.Add(command.Place);
                continue;
            }

            await ProgramRun.Of("dotnet", _folder.Path, null, [program, .. command.Words.Skip(1), .. Shorter(command.Words)]);
            run.Add(command.Place);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"run: {string.Join(", ", run)}; parsed only: {string.Join(", ", left)}");
        Assert.True(run.Count >= 9, $"only {string.Join(", ", run)} ran");
    }

    [Fact]
    public void OtherCommands_NameWhatIsThere()
    {
        foreach (var command in ShownCommand.All().Where(command => !command.IsFalcon))
        {
            if (command.Words[0] != "dotnet") Assert.True(File.Exists(Path.Combine(Fixtures.RepositoryRoot, command.Words[0])), command.Place);
            for (var i = 0; i + 1 < command.Words.Count; i++)
            {
                if (command.Words[i] == "--project") Assert.True(Directory.Exists(Path.Combine(Fixtures.RepositoryRoot, command.Words[i + 1])), $"{command.Place}: {command.Words[i + 1]}");
                if (command.Words[i] == "--filter-class") Assert.True(typeof(ShownCommandsTests).Assembly.GetType(command.Words[i + 1]) is not null, $"{command.Place}: {command.Words[i + 1]}");
                if (command.Words[i] == "--filter-namespace") Assert.Contains(typeof(ShownCommandsTests).Assembly.GetTypes(), type => type.Namespace == command.Words[i + 1]);
                if (command.Words[i] == "--filter-method") Assert.Contains(typeof(ShownCommandsTests).Assembly.GetTypes().SelectMany(type => type.GetMethods()), method => method.Name.Contains(command.Words[i + 1].Trim('*'), StringComparison.Ordinal));
            }
        }
    }

    [Theory]
    [InlineData("a  'b c' \"d\" # e", "a|b c|d")]
    [InlineData("x#y '#'", "x#y|#")]
    public void Split_IsThatOfAShell(string line, string expected) => Assert.Equal(expected.Split('|'), ShownCommand.Split(line));

    private static IEnumerable<string> Shorter(IReadOnlyList<string> words) => words[1] switch
    {
        "unlearn" => ["--set", "steps=2", "--device", "cpu"],
        "evaluate" => ["--rouge-samples", "1", "--device", "cpu"],
        _ => [],
    };

    private bool InputsAreThere(IReadOnlyList<string> words)
    {
        for (var i = 0; i + 1 < words.Count; i++)
            if (Inputs.Contains(words[i]) && words[i + 1].Split(',').Select(part => part.Contains('=', StringComparison.Ordinal) ? part.Split('=', 2)[1] : part).Any(path => !Path.Exists(_folder.At(path)))) return false;
        return words[1] is not ("compare" or "report") || Path.Exists(_folder.At(words[2]));
    }
}
