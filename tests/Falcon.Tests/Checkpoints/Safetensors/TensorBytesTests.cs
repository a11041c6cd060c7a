using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Tests.Checkpoints.Safetensors;

public class TensorBytesTests
{
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Int64)]
    public void WriteThenToTensor_OddAlignment_GivesTheSameTensor(ScalarType type)
    {
        using var scope = NewDisposeScope();
        // Values with exact representations in every type; a transposed view, so that strides count.
        var original = arange(-6, 6, dtype: ScalarType.Float32).reshape(3, 4).to(type).t();
        using var stream = new MemoryStream();
        stream.WriteByte(0xEE);
        TensorBytes.Write(original, stream);
        var bytes = stream.ToArray().AsSpan(1);
        var back = TensorBytes.ToTensor(bytes, TensorBytes.DTypeName(type), original.shape);
        Assert.Equal(type, back.dtype);
        Assert.Equal(original.shape, back.shape);
        Assert.True(back.equal(original).all().item<bool>());
    }

    [Theory]
    [InlineData(ScalarType.Float64, 8)]
    [InlineData(ScalarType.Float32, 4)]
    [InlineData(ScalarType.BFloat16, 2)]
    [InlineData(ScalarType.Float16, 2)]
    public void ElementSize_FloatingTypes_AreTheirBytes(ScalarType type, int bytes) => Assert.Equal(bytes, TensorBytes.ElementSize(type));

    [Fact]
    public void ToTensor_KnownBytes_GivesKnownValues()
    {
        // 1.5 in each format by hand: F32 3FC00000, BF16 3FC0, F16 3E00, F64 3FF8000000000000.
        using var scope = NewDisposeScope();
        Assert.Equal(1.5, TensorBytes.ToTensor([0, 0, 0xC0, 0x3F], "F32", []).to(float64).item<double>());
        Assert.Equal(1.5, TensorBytes.ToTensor([0xC0, 0x3F], "BF16", [1]).to(float64).item<double>());
        Assert.Equal(1.5, TensorBytes.ToTensor([0x00, 0x3E], "F16", [1, 1]).to(float64).item<double>());
        Assert.Equal(1.5, TensorBytes.ToTensor([0, 0, 0, 0, 0, 0, 0xF8, 0x3F], "F64", []).item<double>());
        Assert.Equal(-2, TensorBytes.ToTensor([0xFE, 255, 255, 255, 255, 255, 255, 255], "I64", []).item<long>());
    }

    [Fact]
    public void ToTensor_EmptyTensor_KeepsItsShape()
    {
        using var scope = NewDisposeScope();
        var tensor = TensorBytes.ToTensor([], "F32", [2, 0, 3]);
        Assert.Equal([2L, 0L, 3L], tensor.shape);
        using var stream = new MemoryStream();
        TensorBytes.Write(tensor, stream);
        Assert.Equal(0, stream.Length);
    }

    [Fact]
    public void ToTensor_WrongLengthOrType_IsRefused()
    {
        Assert.Throws<ArgumentException>(() => TensorBytes.ToTensor(new byte[3], "F32", [1]));
        Assert.Throws<UnsupportedCheckpointException>(() => TensorBytes.ToTensor(new byte[1], "F8_E4M3", [1]));
        Assert.Throws<UnsupportedCheckpointException>(() => TensorBytes.ToTensor([], "F32", [0, long.MaxValue, long.MaxValue]));
    }

    [Fact]
    public void ToTensor_FileEntry_NamesFileAndTensorWhenRefused()
    {
        using var folder = new TemporaryFolder();
        SafetensorsWriter.Write(folder.At("x"), [new SafetensorsSource("w", "F8_E5M2", [1], stream => stream.WriteByte(1))]);
        using var file = SafetensorsFile.Open(folder.At("x"));
        var error = Assert.Throws<UnsupportedCheckpointException>(() => TensorBytes.ToTensor(file, file.Entries[0]));
        Assert.Contains(folder.At("x"), error.Message, StringComparison.Ordinal);
        Assert.Contains("'w'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Write_LeavesNoTensorBehind()
    {
        using var tensor = ones(4, requires_grad: true);
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        TensorBytes.Write(tensor, Stream.Null);
        TensorBytes.ToTensor(new byte[4], "F32", [1]).Dispose();
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }
}
