using Falcon.Runtime;

namespace Falcon.Tests.Runtime;

public sealed class RunDirectoryTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("falcon-test-").FullName;

    private string Out => Path.Combine(_folder, "run");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Commit_WrittenFiles_AppearTogether()
    {
        using var run = RunDirectory.Create(Out);
        run.WriteJson("config.json", new { learningRate = 0.5 });
        run.AppendLine("metrics.jsonl", new { step = 1 });
        run.AppendLine("metrics.jsonl", new { step = 2 });
        File.WriteAllText(run.PathOf("model", "weights"), "w");
        Assert.False(Directory.Exists(Out));

        run.Commit();

        Assert.Equal(["config.json", "metrics.jsonl", "model"], Directory.EnumerateFileSystemEntries(Out).Select(Path.GetFileName).Order());
        Assert.Equal("{\n  \"learningRate\": 0.5\n}\n", File.ReadAllText(Path.Combine(Out, "config.json")));
        Assert.Equal("{\"step\":1}\n{\"step\":2}\n", File.ReadAllText(Path.Combine(Out, "metrics.jsonl")));
        Assert.False(Directory.Exists(run.WorkingPath));
    }

    [Fact]
    public void Dispose_WithoutCommit_LeavesNothingNotEvenCreatedParents()
    {
        using (var run = RunDirectory.Create(Path.Combine(_folder, "a", "b", "run"))) run.WriteJson("config.json", 1);

        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public void KeepForResume_Interrupted_IsFoundByResumeOnly()
    {
        using (var run = RunDirectory.Create(Out))
        {
            File.WriteAllText(run.PathOf("state"), "step 7");
            run.KeepForResume();
        }

        Assert.Contains("--resume", Assert.Throws<UserInputException>(() => RunDirectory.Create(Out)).Message, StringComparison.Ordinal);
        using var resumed = RunDirectory.Create(Out + Path.DirectorySeparatorChar, resume: true);
        Assert.True(resumed.IsResumed);
        Assert.Equal("step 7", File.ReadAllText(resumed.PathOf("state")));
        resumed.Commit();
        Assert.Equal(["state"], Directory.EnumerateFileSystemEntries(Out).Select(Path.GetFileName));
    }

    [Fact]
    public void Create_ResumeWithoutState_IsRefusedAndLeavesNothing()
    {
        Assert.Contains(
            "no interrupted run",
            Assert.Throws<UserInputException>(() => RunDirectory.Create(Out, resume: true)).Message,
            StringComparison.Ordinal
        );
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public void Create_LeftoverWithoutState_IsEmptied()
    {
        Directory.CreateDirectory(Out + ".partial");
        File.WriteAllText(Path.Combine(Out + ".partial", "rubbish"), "of a killed run");

        using var run = RunDirectory.Create(Out);
        run.Commit();

        Assert.Empty(Directory.EnumerateFileSystemEntries(Out));
    }

    [Fact]
    public void Create_TargetInUse_IsRefused()
    {
        Directory.CreateDirectory(Out);
        File.WriteAllText(Path.Combine(Out, "x"), "");
        File.WriteAllText(Path.Combine(_folder, "file"), "");

        Assert.Contains("exists", Assert.Throws<UserInputException>(() => RunDirectory.Create(Out)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "is a file",
            Assert.Throws<UserInputException>(() => RunDirectory.Create(Path.Combine(_folder, "file"))).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Create_SecondRunOnTheSamePath_IsRefusedAndTheFirstGoesOn()
    {
        using var first = RunDirectory.Create(Out);
        first.WriteJson("a.json", 1);

        Assert.Contains("another run", Assert.Throws<UserInputException>(() => RunDirectory.Create(Out)).Message, StringComparison.Ordinal);
        first.Commit();

        Assert.True(File.Exists(Path.Combine(Out, "a.json")));
    }

    [Fact]
    public void Create_EmptyDirectory_IsRefusedAndStays()
    {
        Directory.CreateDirectory(Out);

        Assert.Contains("exists", Assert.Throws<UserInputException>(() => RunDirectory.Create(Out)).Message, StringComparison.Ordinal);

        Assert.Equal([Out], Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public void DiscardState_AfterKeepForResume_LeavesNothing()
    {
        using (var run = RunDirectory.Create(Out))
        {
            run.KeepForResume();
            run.DiscardState();
        }

        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public void Commit_TargetAppearedMeanwhile_KeepsTheResult()
    {
        using var run = RunDirectory.Create(Out);
        run.WriteJson("a.json", 1);
        Directory.CreateDirectory(Out);
        File.WriteAllText(Path.Combine(Out, "other"), "");

        Assert.Throws<UserInputException>(run.Commit);
        run.Dispose();

        Assert.True(File.Exists(Path.Combine(run.WorkingPath, "a.json")));
    }

    [Fact]
    public void RequireFreeSpace_TooLittle_NamesPathAndSizes()
    {
        var error = Assert.Throws<UserInputException>(() => RunDirectory.RequireFreeSpace("runs/x", 3L << 30, 512L << 20, "the model"));
        Assert.Equal(
            "runs/x: the model needs 3.0 GiB and the disk has 512 MiB free; free some space or choose another --out.",
            error.Message
        );

        using var run = RunDirectory.Create(Out);
        run.RequireFreeSpace(1, "a byte");
        Assert.Throws<UserInputException>(() => run.RequireFreeSpace(long.MaxValue, "everything"));
    }
}
