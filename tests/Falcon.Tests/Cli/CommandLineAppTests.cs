using System.CommandLine;
using System.Text.Json;
using Falcon.Cli;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Tests.Cli;

public sealed class CommandLineAppTests : IDisposable
{
    private readonly StringWriter _output = new();
    private readonly StringWriter _errors = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("falcon-test-").FullName;

    public void Dispose()
    {
        _output.Dispose();
        _errors.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private int Run(params string[] arguments) => App().Run(arguments);

    private CommandLineApp App() => new(_output, TestConsole.Redirected(_errors), TimeProvider.System, CancellationToken.None);

    [Theory]
    [InlineData("unlern", "falcon: unknown verb 'unlern'; did you mean 'unlearn'? (see 'falcon --help')")]
    [InlineData("xyzzy", "falcon: unknown verb 'xyzzy' (see 'falcon --help')")]
    [InlineData("inspect --modle x", "falcon inspect: unknown option '--modle'; did you mean '--model'? (see 'falcon inspect --help')")]
    [InlineData("inspect", "falcon inspect: Option '--model' is required (see 'falcon inspect --help')")]
    [InlineData(
        "inspect --model m --device gpu",
        "falcon inspect: --device is 'gpu', it must be one of auto, cpu, cuda (see 'falcon inspect --help')"
    )]
    [InlineData(
        "inspect --model m --dtype int8",
        "falcon inspect: --dtype is 'int8', it must be one of auto, float32, bfloat16, float16 (see 'falcon inspect --help')"
    )]
    [InlineData(
        "inspect --model m --threads 0",
        "falcon inspect: --threads is '0', it must be a whole number, at least 1 (see 'falcon inspect --help')"
    )]
    [InlineData(
        "inspect --model m --seed x",
        "falcon inspect: --seed is 'x', it must be a whole number, at least 0 (see 'falcon inspect --help')"
    )]
    [InlineData(
        "generate --model m --prompt p --temperature 0,5",
        "falcon generate: --temperature is '0,5', it must be a number such as 0.5, at least 0 (see 'falcon generate --help')"
    )]
    [InlineData(
        "analyze --model m --forget a,,b --retain r --out o",
        "falcon analyze: --forget has an empty entry in 'a,,b'; write A,B without empty entries (see 'falcon analyze --help')"
    )]
    [InlineData(
        "analyze --model m --forget a --retain r --layers 5-2 --out o",
        "falcon analyze: --layers is '5-2', it must be a range of layers such as 2-5 (see 'falcon analyze --help')"
    )]
    [InlineData(
        "unlearn --model m --forget a --retain r --set rate --out o",
        "falcon unlearn: --set is 'rate', it must be key=value (see 'falcon unlearn --help')"
    )]
    [InlineData(
        "unlearn --model m --forget a --retain r --layer first --out o",
        "falcon unlearn: --layer is 'first', it must be auto or a number from 0 (see 'falcon unlearn --help')"
    )]
    [InlineData(
        "evaluate --model m --suite tofu,bogus --out o",
        "falcon evaluate: --suite has 'bogus', known are tofu, muse, wmdp, mmlu, mcq, facts, memorization, privacy, leak, perplexity, qa "
            + "(see 'falcon evaluate --help')"
    )]
    public void Run_WrongArguments_ExitCode2AndOneLine(string line, string expected)
    {
        Assert.Equal(2, Run(line.Split(' ')));
        Assert.Equal(expected + Environment.NewLine, _errors.ToString());
        Assert.Empty(_output.ToString());
    }

    [Fact]
    public void Help_EveryVerb_HasAnExampleOfItself()
    {
        foreach (var (path, verb) in Verbs(App().CreateRoot(), []))
        {
            _output.GetStringBuilder().Clear();
            Assert.Equal(0, Run([.. path, "--help"]));
            Assert.Contains(
                $"  falcon {string.Join(' ', path)}",
                _output.ToString()[_output.ToString().IndexOf("Example", StringComparison.Ordinal)..],
                StringComparison.Ordinal
            );
            if (verb.Subcommands.Count > 0)
                continue;
            foreach (var option in new[] { "--json", "--device", "--dtype", "--seed", "--threads", "--verbose" })
                Assert.Contains(option, _output.ToString(), StringComparison.Ordinal);
        }
        Assert.Empty(_errors.ToString());
    }

    [Fact]
    public void Examples_EveryVerb_Parse()
    {
        foreach (var (path, _) in Verbs(App().CreateRoot(), []))
        {
            _output.GetStringBuilder().Clear();
            Run([.. path, "--help"]);
            foreach (
                var example in _output
                    .ToString()
                    .Split('\n')
                    .Where(l =>
                        l.StartsWith($"  falcon {string.Join(' ', path)}", StringComparison.Ordinal)
                        && !l.Contains("[options]", StringComparison.Ordinal)
                    )
            )
                Assert.Empty(App().CreateRoot().Parse(example.Trim()["falcon ".Length..]).Errors);
        }
    }

    // Every verb with the words that lead to it; hidden ones are for the program itself.
    private static IEnumerable<(string[] Path, Command Verb)> Verbs(Command parent, string[] path) =>
        parent
            .Subcommands.Where(verb => !verb.Hidden)
            .SelectMany(verb => Verbs(verb, [.. path, verb.Name]).Prepend(([.. path, verb.Name], verb)));

    [Fact]
    public void Run_NoArguments_ShowsHelp()
    {
        Assert.Equal(0, Run());
        Assert.Contains("Commands:", _output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Compare_Json_IsTheOnlyOutput()
    {
        Assert.Equal(0, Run("compare", WriteRun("one"), WriteRun("two"), "--json"));

        using var json = JsonDocument.Parse(_output.ToString());
        Assert.Equal(2, json.RootElement.GetProperty("runs").GetArrayLength());
        Assert.Equal(
            0.27,
            json.RootElement.GetProperty("runs")[1]
                .GetProperty("record")
                .GetProperty("scores")[0]
                .GetProperty("after")
                .GetProperty("value")
                .GetDouble()
        );
        Assert.Empty(_errors.ToString());
    }

    [Fact]
    public void Compare_Table_HasAColumnARun()
    {
        Assert.Equal(0, Run("compare", WriteRun("one"), WriteRun("two")));

        Assert.Contains("one", _output.ToString(), StringComparison.Ordinal);
        Assert.Contains("two", _output.ToString(), StringComparison.Ordinal);
        Assert.Contains("27.0 %", _output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Report_Runs_WritesThePage()
    {
        var page = Path.Combine(_folder, "report.html");

        Assert.Equal(0, Run("report", WriteRun("one"), "--out", page));

        Assert.StartsWith("<!doctype html>", File.ReadAllText(page), StringComparison.Ordinal);
        Assert.Equal(page + Environment.NewLine, _output.ToString());
    }

    [Fact]
    public void Compare_MissingRun_ExitCode2AndOneLineTraceWhenVerbose()
    {
        Assert.Equal(2, Run("compare", Path.Combine(_folder, "absent")));
        Assert.Single(_errors.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries));

        Assert.Equal(2, Run("compare", Path.Combine(_folder, "absent"), "--verbose"));
        Assert.Contains("   at ", _errors.ToString(), StringComparison.Ordinal);
    }

    private string WriteRun(string name)
    {
        var path = Path.Combine(_folder, name);
        using var run = RunDirectory.Create(path);
        run.WriteJson("run.json", new RunRecord("unlearn", name, Reporting.SampleReport.Scores, Reporting.SampleReport.Questions, [], 1));
        run.Commit();
        return path;
    }
}
