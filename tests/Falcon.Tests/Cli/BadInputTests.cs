using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using Falcon.Checkpoints;

namespace Falcon.Tests.Cli;

/// <summary>Wrong data files, settings and output directories, and disks without room.</summary>
public sealed class BadInputTests : BadInputTest
{
    [Fact]
    public void Unlearn_GoodInput_WritesARunDirectory()
    {
        var run = Unlearn();
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        Assert.Equal(
            ["config.json", "environment.json", "metrics.jsonl", "model", "run.json"],
            Directory.EnumerateFileSystemEntries(Out).Select(Path.GetFileName).Order(StringComparer.Ordinal)
        );
    }

    [Fact]
    public void Forget_Missing() => Refused(["--forget", Folder.At("absent.jsonl")], "absent.jsonl", "no such file", "check the path");

    [Fact]
    public void Forget_IsADirectory() => Refused(["--forget", Model], Model, "this is a directory", "name one file in it");

    [Fact]
    public void Forget_Empty()
    {
        File.WriteAllText(Forget, "");
        Refused([], Forget, "the file is empty", "at least one record");
    }

    [Fact]
    public void Forget_OnlyBlankLines()
    {
        File.WriteAllText(Forget, "\n\n");
        Refused([], Forget, "no usable record");
    }

    [Fact]
    public void Forget_MalformedJsonOnLine7()
    {
        var lines = File.ReadAllLines(Forget);
        lines[6] = lines[6][..^3];
        File.WriteAllLines(Forget, lines);
        Refused([], Forget, "line 7", "not valid JSON", "every line must be one complete JSON object");
    }

    [Fact]
    public void Forget_MissingField()
    {
        File.WriteAllText(Forget, """{"frage": "?", "antwort": "!"}""");
        Refused([], Forget, "line 1", "frage");
    }

    [Fact]
    public void Retain_NumberDoesNotFit() =>
        Refused(
            ["--retain", $"{Retain},{Retain},{Retain}", "--forget", $"{Forget},{Forget}"],
            "2 forget files but 3 retain files",
            "one retain file for each forget file"
        );

    [Fact]
    public void RunFile_UnknownKey()
    {
        File.WriteAllText(Folder.At("run.jsonc"), "{\n  // rates\n  \"optimizer\": { \"learningrte\": 1e-4 }\n}\n");
        Refused(
            ["--config", Folder.At("run.jsonc")],
            "run.jsonc, line 3",
            "unknown key \"optimizer.learningrte\"",
            "did you mean \"optimizer.learningRate\"?"
        );
    }

    [Fact]
    public void RunFile_WrongType()
    {
        File.WriteAllText(Folder.At("run.jsonc"), "{ \"optimizer\": { \"rho\": \"many\" } }");
        Refused(["--config", Folder.At("run.jsonc")], "run.jsonc, line 1", "\"optimizer.rho\" must be a number, found \"many\"");
    }

    [Fact]
    public void Set_UnknownKey() =>
        Refused(["--set", Mistyped + "rature=1"], $"--set {Mistyped}rature=1", $"did you mean \"{Mistyped}erature\"?");

    private const string Mistyped = "objective.forget.contrastive.temp";

    [Fact]
    public void Set_WrongValue() => Refused(["--set", "optimizer.learningRate=-1"], "optimizer.learningRate is -1", "above 0");

    [Fact]
    public void Layer_OutOfRange() => Refused(["--layer", "4"], "layers.target is 4", "layers 0 to 3", "--layer auto");

    [Theory]
    [InlineData("1")]
    [InlineData("auto")]
    public void Matrix_Unknown(string layer) =>
        Refused(["--layer", layer, "--set", "layers.parameters=[\"mlp.dwn_proj\"]"], "layers.parameters", "mlp.dwn_proj", "mlp.down_proj");

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Out_Exists(bool empty)
    {
        Directory.CreateDirectory(Out);
        if (!empty) File.WriteAllText(Folder.At("out", "kept.txt"), "");
        Refused([], Out, "exists", "choose another --out");
    }

    [Fact]
    public void Out_BelowAFile() => Refused(["--out", Path.Combine(Forget, "run")], Forget, "cannot be created", "--out");

    [Fact]
    public void Out_ReadOnlyParent()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("needs a folder that takes no folder, which Windows spells otherwise");
            return;
        }

        var parent = Folder.At("locked");
        Directory.CreateDirectory(parent);
        File.SetUnixFileMode(parent, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        try
        {
            // The super-user may write anywhere but to the process file system.
            if (Environment.UserName == "root" && !Directory.Exists("/proc")) Assert.Skip("the super-user may write everywhere here");
            var target = Environment.UserName == "root" ? "/proc/run" : Path.Combine(parent, "run");
            Refused(["--out", target], target, "cannot be created", "--out");
        }
        finally
        {
            File.SetUnixFileMode(parent, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    [Fact]
    public void Disk_TooSmallForTheModel()
    {
        // A file with a hole takes no disk here, but its copy would need more than any disk has.
        var larger = new DriveInfo(Folder.Path).AvailableFreeSpace + (1L << 30);
        try
        {
            using var file = File.Create(Path.Combine(Model, "notes.txt"));
            file.SetLength(larger);
        }
        catch (IOException)
        {
            Assert.Skip("this file system has no files with holes");
        }
        Refused([], Out, "the new model needs", "free some space or choose another --out");
    }

    [Fact]
    public void Disk_FullWhileWriting()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("needs a small file system, mounted for the test");
        var disk = Folder.At("disk");
        Directory.CreateDirectory(disk);
        // Room for the model, which is asked for before, but not for the model and what is written beside it.
        var pages = (CheckpointLength() / Environment.SystemPageSize) + 4;
        if (
            !Succeeds(
                "mount",
                "-t",
                "tmpfs",
                "-o",
                string.Create(CultureInfo.InvariantCulture, $"size={pages * Environment.SystemPageSize}"),
                "falcon-test",
                disk
            )
        )
            Assert.Skip("mounting a small file system is not allowed here");
        try
        {
            var run = Unlearn("--out", Path.Combine(disk, "run"), "--set", "steps=60");
            Assert.Equal(2, run.ExitCode);
            Assert.Contains(disk, run.Errors[^1], StringComparison.Ordinal);
            Assert.Contains("No space left", run.Errors[^1], StringComparison.Ordinal);
            Assert.Contains("Free s", run.Errors[^1], StringComparison.Ordinal);
            Assert.Empty(Directory.EnumerateFileSystemEntries(disk));
        }
        finally
        {
            Assert.True(Succeeds("umount", disk));
        }
    }

    [Fact]
    public void Run_Diverges_ExitCode3AndNoStateLeft() =>
        RefusedWith(
            3,
            ["--set", "steps=60", "--set", "optimizer.learningRate=1e30", "--set", "checkpointEvery=1"],
            "Step",
            "optimizer.learningRate"
        );

    private long CheckpointLength()
    {
        using var checkpoint = Checkpoint.Open(Model);
        return CheckpointWriter.ByteLength(checkpoint);
    }

    // False where it is not allowed, as for everybody but the super-user.
    private static bool Succeeds(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
