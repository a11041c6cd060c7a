namespace Falcon.Tests.Cli;

/// <summary>Ctrl-C in the middle of a run, and the run continued: the same weights as without the interruption.</summary>
public sealed class InterruptionTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _model;
    private readonly string _forget;
    private readonly string _retain;

    public InterruptionTests()
    {
        _model = TinyCheckpoint.Write(_folder.At("model"));
        _forget = TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten");
        _retain = TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept");
    }

    public void Dispose() => _folder.Dispose();

    private string[] Arguments(string destination, string optimizer, params string[] more) =>
        [
            "unlearn",
            "--model",
            _model,
            "--forget",
            _forget,
            "--retain",
            _retain,
            "--layer",
            "1",
            "--out",
            destination,
            "--device",
            "cpu",
            "--seed",
            "3",
            "--set",
            "steps=9",
            "--set",
            "data.batchSize=3",
            "--set",
            $"optimizer.kind={optimizer}",
            "--set",
            "optimizer.curvatureEvery=3",
            "--set",
            "optimizer.warmupSteps=2",
            .. more,
        ];

    // A clock on which every look takes five seconds, so that no progress line is left out.
    private CommandRun Interrupted(string at, params string[] arguments)
    {
        using var interruption = new CancellationTokenSource();
        using var errors = new CancellingWriter(at, interruption);
        return CommandRun.Of(errors, new HastyClock(), interruption.Token, arguments);
    }

    [Theory]
    [InlineData("adamW")]
    [InlineData("sophia")]
    [InlineData("sophiaOfficial")]
    public void Resume_AfterInterruption_GivesTheBytesOfAnUninterruptedRun(string optimizer)
    {
        var (whole, parts) = (_folder.At("whole"), _folder.At("parts"));
        Assert.Equal(0, CommandRun.Of(Arguments(whole, optimizer)).ExitCode);

        var first = Interrupted("unlearning 4/9", Arguments(parts, optimizer));
        Assert.Equal(130, first.ExitCode);
        Assert.Contains("the state after 4 steps is kept", first.Errors[^2], StringComparison.Ordinal);
        Assert.Equal("falcon: interrupted", first.Errors[^1]);
        Assert.False(Directory.Exists(parts));
        Assert.True(Directory.Exists(parts + ".partial"));

        var second = Interrupted("unlearning 7/9", Arguments(parts, optimizer, "--resume"));
        Assert.True(second.ExitCode == 130, string.Join('\n', second.Errors));
        var third = CommandRun.Of(Arguments(parts, optimizer, "--resume"));
        Assert.True(third.ExitCode == 0, string.Join('\n', third.Errors));
        Assert.Contains("resumed at step 7", third.Errors);

        Assert.False(Directory.Exists(parts + ".partial"));
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(whole, "model", "model.safetensors")),
            File.ReadAllBytes(Path.Combine(parts, "model", "model.safetensors"))
        );
        Assert.Equal(9, File.ReadAllLines(Path.Combine(parts, "metrics.jsonl")).Length);
        Assert.Equal(Names(whole), Names(parts));
    }

    [Fact]
    public void Resume_AfterInterruptionInTheLastStep_Finishes()
    {
        var parts = _folder.At("parts");
        Assert.Equal(130, Interrupted("unlearning 9/9", Arguments(parts, "adamW")).ExitCode);
        Assert.Equal(0, CommandRun.Of(Arguments(parts, "adamW", "--resume")).ExitCode);
        Assert.True(File.Exists(Path.Combine(parts, "model", "model.safetensors")));
    }

    [Fact]
    public void Resume_WithOtherSettings_IsRefusedAndKeepsTheState()
    {
        var parts = _folder.At("parts");
        Assert.Equal(130, Interrupted("unlearning 4/9", Arguments(parts, "adamW")).ExitCode);

        var other = CommandRun.Of(Arguments(parts, "adamW", "--resume", "--set", "steps=20"));
        Assert.Equal(2, other.ExitCode);
        Assert.Contains("the interrupted run had other settings", Assert.Single(other.Errors), StringComparison.Ordinal);
        var without = CommandRun.Of(Arguments(parts, "adamW"));
        Assert.Equal(2, without.ExitCode);
        Assert.Contains("--resume", Assert.Single(without.Errors), StringComparison.Ordinal);

        Assert.Equal(0, CommandRun.Of(Arguments(parts, "adamW", "--resume")).ExitCode);
    }

    [Fact]
    public void Interruption_BeforeTheFirstStep_LeavesNothing()
    {
        var run = Interrupted("computing on", Arguments(_folder.At("early"), "adamW"));
        Assert.Equal(130, run.ExitCode);
        Assert.Equal("falcon: interrupted", run.Errors[^1]);
        Assert.Equal(
            ["forget.jsonl", "model", "retain.jsonl"],
            Directory.EnumerateFileSystemEntries(_folder.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal)
        );
    }

    private static string[] Names(string folder) =>
        [
            .. Directory
                .EnumerateFiles(folder, "*", SearchOption.AllDirectories)
                .Select(path => Path.GetRelativePath(folder, path))
                .Order(StringComparer.Ordinal),
        ];

    internal sealed class HastyClock : TimeProvider
    {
        private long _looks;

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => Interlocked.Add(ref _looks, 5);
    }

    internal sealed class CancellingWriter(string at, CancellationTokenSource interruption) : StringWriter
    {
        public override void WriteLine(string? value)
        {
            base.WriteLine(value);
            if (value?.StartsWith(at, StringComparison.Ordinal) == true) interruption.Cancel();
        }
    }
}
