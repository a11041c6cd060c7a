using System.Security.Cryptography;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Exchange;
using Falcon.Runtime;
using Falcon.Tests.Cli;
using static TorchSharp.torch;

namespace Falcon.Tests.Exchange;

/// <summary>Patches of small random models: exact to the bit both ways, and refused wherever they do not belong.</summary>
public sealed class WeightPatchTests : IDisposable
{
    private const string First = "model.layers.1.mlp.down_proj.weight";
    private const string Second = "model.layers.2.mlp.down_proj.weight";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private (string Base, string Result, string Patch) Make(ScalarType dtype = ScalarType.BFloat16, int shards = 3)
    {
        var before = TinyCheckpoint.Write(_folder.At("base"), dtype, shards);
        var after = ChangedModel.Write(before, _folder.At("result"), First, Second);
        var patch = _folder.At("change.safetensors");
        WeightPatch.Create(before, after, patch, RunContext.Quiet);
        return (before, after, patch);
    }

    // Every file of two directories, byte for byte.
    private static void AssertSame(string expected, string actual)
    {
        static string[] Names(string folder) =>
            [.. Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
        Assert.Equal(Names(expected), Names(actual));
        foreach (var name in Names(expected))
            Assert.Equal(File.ReadAllBytes(Path.Combine(expected, name)), File.ReadAllBytes(Path.Combine(actual, name)));
    }

    [Theory]
    [InlineData(ScalarType.BFloat16, 3)]
    [InlineData(ScalarType.Float16, 1)]
    [InlineData(ScalarType.Float32, 2)]
    public void ApplyAndRevert_GiveTheBytesOfBothModels(ScalarType dtype, int shards)
    {
        var (before, after, patch) = Make(dtype, shards); // inverted bytes make NaNs of some values, which must survive as they are

        WeightPatch.Apply(patch, before, _folder.At("applied"), RunContext.Quiet);
        WeightPatch.Revert(patch, after, _folder.At("reverted"), RunContext.Quiet);

        AssertSame(after, _folder.At("applied"));
        AssertSame(before, _folder.At("reverted"));
    }

    [Fact]
    public void Create_StoresTheChangedTensorsAndTheHashesOfAll()
    {
        var (before, after, patch) = Make();

        using var file = SafetensorsFile.Open(patch);
        Assert.Equal([First, Second], file.Entries.Select(entry => entry.Name));
        using var opened = PatchFile.Open(patch);
        using var first = WeightFiles.Open(before);
        using var second = WeightFiles.Open(after);
        foreach (var tensor in opened.Tensors)
        {
            Assert.Equal(Sha256(first, tensor.Name), tensor.Base);
            Assert.Equal(Sha256(second, tensor.Name), tensor.Result);
        }

        Assert.Equal(first.Names.Count, opened.Tensors.Count);
        Assert.Null(opened.Run);
        // 2 tensors of 16 x 24 values of 2 bytes, and a header.
        Assert.InRange(new FileInfo(patch).Length, 2 * 16 * 24 * 2, 40_000);
    }

    [Fact]
    public void Create_OfARun_KeepsItsSettings()
    {
        var before = TinyCheckpoint.Write(_folder.At("base"));
        Directory.CreateDirectory(_folder.At("run"));
        var after = ChangedModel.Write(before, _folder.At("run", "model"), First);
        File.WriteAllText(_folder.At("run", "config.json"), """{"data": {}, "seed": 7}""");

        var summary = WeightPatch.Create(before, after, _folder.Path + Path.DirectorySeparatorChar, RunContext.Quiet);

        Assert.True(summary.HasRun);
        Assert.Equal(_folder.At("patch.safetensors"), summary.Path);
        using var patch = PatchFile.Open(summary.Path);
        Assert.Equal("""{"data": {}, "seed": 7}""", patch.Run);
    }

    [Fact]
    public void Create_ResultInOtherShards_AppliesToTheBasesFiles()
    {
        var before = TinyCheckpoint.Write(_folder.At("base"), shards: 3);
        var after = ChangedModel.Write(TinyCheckpoint.Write(_folder.At("single")), _folder.At("result"), Second);
        WeightPatch.Create(before, after, _folder.At("p"), RunContext.Quiet);

        WeightPatch.Apply(_folder.At("p"), before, _folder.At("applied"), RunContext.Quiet);

        AssertSame(ChangedModel.Write(before, _folder.At("expected"), Second), _folder.At("applied"));
    }

    [Fact]
    public void Apply_WeightsThatNoIndexNames_AreNotCopied()
    {
        var (before, _, patch) = Make();
        File.WriteAllText(Path.Combine(before, "consolidated.safetensors"), "a second copy of the original");

        WeightPatch.Apply(patch, before, _folder.At("applied"), RunContext.Quiet);

        Assert.False(File.Exists(_folder.At("applied", "consolidated.safetensors")));
    }

    [Fact]
    public void Apply_AnotherBase_NamesTheTensorAndWritesNothing()
    {
        var (before, _, patch) = Make();
        var other = ChangedModel.Write(before, _folder.At("other"), "model.layers.0.self_attn.q_proj.weight");

        var run = CommandRun.Of("patch", "apply", "--base", other, "--patch", patch, "--out", _folder.At("applied"));

        Assert.Equal(2, run.ExitCode);
        Assert.Contains("\"model.layers.0.self_attn.q_proj.weight\" is not the base", run.Errors[^1], StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("applied")) || Directory.Exists(_folder.At("applied.partial")));
    }

    [Fact]
    public void Apply_Twice_SaysThatItIsApplied()
    {
        var (before, after, patch) = Make();
        Assert.Contains(
            "the patch is already applied",
            Assert.Throws<UserInputException>(() => WeightPatch.Apply(patch, after, _folder.At("x"), RunContext.Quiet)).Message,
            StringComparison.Ordinal
        );
        Assert.Contains(
            "the model is already the original",
            Assert.Throws<UserInputException>(() => WeightPatch.Revert(patch, before, _folder.At("x"), RunContext.Quiet)).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Verify_TellsBaseResultAndNeither()
    {
        var (before, after, patch) = Make();
        Assert.Equal("base", WeightPatch.Verify(patch, before, RunContext.Quiet).State);
        Assert.Equal("result", WeightPatch.Verify(patch, after, RunContext.Quiet).State);

        var half = ChangedModel.Write(before, _folder.At("half"), First);
        Assert.Contains(
            $"\"{Second}\" is the base",
            Assert.Throws<UserInputException>(() => WeightPatch.Verify(patch, half, RunContext.Quiet)).Message,
            StringComparison.Ordinal
        );
        var other = ChangedModel.Write(before, _folder.At("other"), "model.norm.weight");
        Assert.Contains(
            "\"model.norm.weight\" is neither",
            Assert.Throws<UserInputException>(() => WeightPatch.Verify(patch, other, RunContext.Quiet)).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Create_NothingToStore_IsRefused()
    {
        var (before, after, patch) = Make();
        Assert.Contains(
            "no change to store",
            Assert.Throws<UserInputException>(() => WeightPatch.Create(before, before, _folder.At("none"), RunContext.Quiet)).Message,
            StringComparison.Ordinal
        );
        Assert.Contains(
            "exists",
            Assert.Throws<UserInputException>(() => WeightPatch.Create(before, after, patch, RunContext.Quiet)).Message,
            StringComparison.Ordinal
        );
        var wider = TinyCheckpoint.Write(_folder.At("wider"), ScalarType.Float32);
        Assert.Contains(
            "same shapes and dtypes",
            Assert.Throws<UserInputException>(() => WeightPatch.Create(before, wider, _folder.At("none"), RunContext.Quiet)).Message,
            StringComparison.Ordinal
        );
        Assert.False(File.Exists(_folder.At("none")));
    }

    [Fact]
    public void Apply_DamagedPatch_IsRefused()
    {
        var (before, _, patch) = Make();
        var bytes = File.ReadAllBytes(patch);
        bytes[^1] ^= 1;
        File.WriteAllBytes(_folder.At("flipped"), bytes);
        File.WriteAllBytes(_folder.At("short"), bytes[..^1]);

        Assert.Contains(
            "damaged",
            Assert
                .Throws<UnsupportedCheckpointException>(() =>
                    WeightPatch.Apply(_folder.At("flipped"), before, _folder.At("x"), RunContext.Quiet)
                )
                .Message,
            StringComparison.Ordinal
        );
        Assert.Throws<UnsupportedCheckpointException>(() =>
            WeightPatch.Apply(_folder.At("short"), before, _folder.At("x"), RunContext.Quiet)
        );
        Assert.Contains(
            "no patch",
            Assert
                .Throws<UnsupportedCheckpointException>(() =>
                    WeightPatch.Apply(Directory.GetFiles(before, "*.safetensors")[0], before, _folder.At("x"), RunContext.Quiet)
                )
                .Message,
            StringComparison.Ordinal
        );
        Assert.False(Directory.Exists(_folder.At("x")) || Directory.Exists(_folder.At("x.partial")));
    }

    [Fact]
    public void Interrupted_LeavesNothing()
    {
        var (before, after, patch) = Make();
        using var interruption = new CancellationTokenSource();
        interruption.Cancel();
        var context = RunContext.Quiet with { Cancellation = interruption.Token };

        Assert.Throws<OperationCanceledException>(() => WeightPatch.Create(before, after, _folder.At("none"), context));
        Assert.Throws<OperationCanceledException>(() => WeightPatch.Apply(patch, before, _folder.At("none"), context));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path, "none*"));
    }

    [Fact]
    public void CommandLine_AllFourVerbs_Work()
    {
        var (before, after, _) = Make();
        string[][] commands =
        [
            ["patch", "create", "--base", before, "--model", after, "--out", _folder.At("p")],
            ["patch", "apply", "--base", before, "--patch", _folder.At("p"), "--out", _folder.At("applied")],
            ["patch", "verify", "--model", _folder.At("applied"), "--patch", _folder.At("p"), "--json"],
            ["patch", "revert", "--model", _folder.At("applied"), "--patch", _folder.At("p"), "--out", _folder.At("reverted")],
        ];
        foreach (var command in commands)
        {
            var run = CommandRun.Of(command);
            Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
            Assert.NotEmpty(run.Output);
        }

        AssertSame(before, _folder.At("reverted"));
    }

    private static string Sha256(WeightFiles files, string name)
    {
        var (file, entry) = files.Locate(name);
        return Convert.ToHexStringLower(SHA256.HashData(file.Bytes(entry)));
    }
}
