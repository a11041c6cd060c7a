namespace Falcon.Tests.Cli;

/// <summary>
/// A command on a real, tiny model directory with wrong input: exit code 2, one line that says what is wrong, where and what to do, and
/// nothing left behind.
/// </summary>
public abstract class BadInputTest : IDisposable
{
    protected BadInputTest()
    {
        Model = TinyCheckpoint.Write(Folder.At("model"));
        Forget = TinyCheckpoint.Questions(Folder.At("forget.jsonl"), "forgotten");
        Retain = TinyCheckpoint.Questions(Folder.At("retain.jsonl"), "kept");
    }

    private protected TemporaryFolder Folder { get; } = new();

    protected string Model { get; }

    protected string Forget { get; }

    protected string Retain { get; }

    protected string Weights => Path.Combine(Model, "model.safetensors");

    protected string Out => Folder.At("out");

    public void Dispose()
    {
        Folder.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected CommandRun Unlearn(params string[] more) =>
        CommandRun.Of([
            "unlearn",
            .. Given(more, "--model", Model),
            .. Given(more, "--forget", Forget),
            .. Given(more, "--retain", Retain),
            .. Given(more, "--layer", "1"),
            .. Given(more, "--out", Out),
            "--device",
            "cpu",
            "--set",
            "steps=2",
            "--set",
            "data.batchSize=2",
            .. more,
        ]);

    private static string[] Given(string[] more, string option, string value) => more.Contains(option) ? [] : [option, value];

    /// <summary>Runs and compares the files before and after.</summary>
    protected void Refused(string[] arguments, params string[] said) => RefusedWith(2, arguments, said);

    protected void RefusedWith(int exitCode, string[] arguments, params string[] said)
    {
        var before = Files();
        var run = Unlearn(arguments);
        Assert.True(run.ExitCode == exitCode, $"exit code {run.ExitCode}: {string.Join('\n', run.Errors)}");
        Assert.Empty(run.Output);
        foreach (var part in said) Assert.Contains(part, run.Errors[^1], StringComparison.Ordinal);
        Assert.StartsWith("falcon", run.Errors[^1], StringComparison.Ordinal);
        if (exitCode == 2) Assert.Single(run.Errors);
        Assert.Equal(before, Files());
    }

    private string[] Files() =>
        [.. Directory.EnumerateFileSystemEntries(Folder.Path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
}
