using Falcon.Checkpoints;
using Falcon.Runtime;
using Falcon.Runtime.Machine;
using static TorchSharp.torch;

namespace Falcon.Tests.Runtime;

/// <summary>Which dtype a checkpoint is computed in: by how it is stored, by the processor's features and by the memory.</summary>
public sealed class ComputeOptionsTests : IDisposable
{
    private const long Memory = 3000; // float32 weights may take a third of it: 250 of them

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("float32", 1000000, 0, 0, true, ScalarType.Float32)] // stays float32, however large and whatever the processor
    [InlineData("float32", 1000000, 0, 0, false, ScalarType.Float32)]
    [InlineData("bfloat16", 0, 100, 0, true, ScalarType.BFloat16)]
    [InlineData("bfloat16", 0, 1000000, 0, true, ScalarType.BFloat16)]
    [InlineData("bfloat16", 0, 250, 0, false, ScalarType.Float32)]
    [InlineData("bfloat16", 0, 251, 0, false, ScalarType.BFloat16)]
    [InlineData("float32 norms", 10, 240, 0, false, ScalarType.Float32)]
    [InlineData("float32 norms", 10, 240, 0, true, ScalarType.BFloat16)]
    [InlineData("a quarter in float32", 100, 300, 0, true, ScalarType.Float32)]
    [InlineData("float16", 0, 0, 250, true, ScalarType.Float32)] // bfloat16 would round it
    [InlineData("float16", 0, 0, 250, false, ScalarType.Float32)]
    [InlineData("float16", 0, 0, 251, false, ScalarType.BFloat16)]
    [InlineData("of both kinds", 0, 100, 100, true, ScalarType.Float32)]
    [InlineData("nothing stored", 0, 0, 0, true, ScalarType.Float32)]
    public void OnProcessor_EveryKind_FollowsStorageFeaturesAndMemory(
        string kind,
        long inFloat32,
        long inBFloat16,
        long inFloat16,
        bool tiles,
        ScalarType expected
    )
    {
        var (dtype, reason) = ComputeOptions.OnProcessor(new StoredWeights(inFloat32, inBFloat16, inFloat16), tiles, Memory);

        Assert.True(dtype == expected, $"{kind}: {dtype}, {reason}");
        Assert.StartsWith(expected.ToString(), reason, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData(ScalarType.Float32, ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16, null)]
    [InlineData(ScalarType.Float16, ScalarType.Float32)]
    public void Choose_Auto_ReadsTheCheckpoint(ScalarType stored, ScalarType? expected)
    {
        using var checkpoint = Checkpoint.Open(TinyCheckpoint.Write(_folder.At("model"), stored));
        expected ??= MatrixTiles.MultiplyBFloat16 ? ScalarType.BFloat16 : ScalarType.Float32;

        Assert.Equal(checkpoint.ParameterCount, checkpoint.Stored.Count);
        Assert.Equal(expected, ComputeOptions.Choose("cpu", "auto", checkpoint.Stored).DType);
        // What is named explicitly is taken as it is.
        Assert.Equal(ScalarType.BFloat16, ComputeOptions.Choose("cpu", "bfloat16", checkpoint.Stored).DType);
        Assert.Equal(ScalarType.Float32, ComputeOptions.Choose("cpu", "float32", checkpoint.Stored).DType);
    }

    [Fact]
    public void Choose_UnderALimit_SaysWhatDecided()
    {
        var stored = new StoredWeights(0, 1000, 0);

        var chosen = ComputeOptions.Choose("cpu", "auto", stored, memoryLimit: 4000);

        Assert.Equal(ScalarType.BFloat16, chosen.DType);
        Assert.Contains("AMX", chosen.Reason, StringComparison.Ordinal);
        if (!MatrixTiles.MultiplyBFloat16) Assert.Equal(float32, ComputeOptions.Choose("cpu", "auto", stored, memoryLimit: 12000).DType);
    }

    [Fact]
    public void MatrixTiles_AreThereOnlyWhereTheSystemListsThem()
    {
        Assert.SkipUnless(File.Exists("/proc/cpuinfo"), "needs Linux");
        var flags = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("flags", StringComparison.Ordinal)) ?? "";
        var listed = flags.Split(' ') is var names && names.Contains("amx_bf16") && names.Contains("amx_tile");

        Assert.True(listed || !MatrixTiles.MultiplyBFloat16, "the processor's flags name no AMX");
    }
}
