using System.Buffers.Binary;
using System.Text;
using CsCheck;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;

namespace Falcon.Tests.Checkpoints.Safetensors;

public class SafetensorsFileTests
{
    [Fact]
    public void Open_MissingFileOrFolder_NamesIt()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains(
            folder.At("none"),
            Assert.Throws<UnsupportedCheckpointException>(() => SafetensorsFile.Open(folder.At("none"))).Message,
            StringComparison.Ordinal
        );
        Assert.Throws<UnsupportedCheckpointException>(() => SafetensorsFile.Open(folder.Path));
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"note":"\ud800"}}""")] // lone surrogate in an ignored field
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"note":1e999}}""")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"note":[[}}""")]
    [InlineData("""{"a":{"dtype":"U8","shape":[-0,1],"data_offsets":[0,1]}}""")]
    [InlineData("""{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}""")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}""")]
    [InlineData("""{"a":{"dtype":"u8","shape":[1],"data_offsets":[0,1]}}""")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}""")]
    [InlineData("""{"__metadata__":{"a":1},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""")]
    [InlineData("""[{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}]""")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}} // end""")]
    [InlineData("\ufeff{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}")]
    public void Open_BadHeader_IsRejected(string header)
    {
        using var folder = new TemporaryFolder();
        Assert.Throws<UnsupportedCheckpointException>(() => SafetensorsFile.Open(Made(folder, Encoding.UTF8.GetBytes(header), 1)));
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"note":{"b":[1.5,"x",null,true]},"note":2}}""")]
    [InlineData(""" {"a":{"data_offsets":[0,1],"shape":[1,1],"dtype":"U8"}, "__metadata__":null }   """)]
    public void Open_UnknownFieldsAndSpace_AreAccepted(string header)
    {
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(Made(folder, Encoding.UTF8.GetBytes(header), 1));
        Assert.Equal("a", Assert.Single(file.Entries).Name);
    }

    [Fact]
    public void Open_DamagedBytes_NeverFailsInAnotherWay()
    {
        // Random damage to a valid header either still reads or raises the one error that is meant for it.
        using var folder = new TemporaryFolder();
        var valid = Encoding.UTF8.GetBytes(
            """{"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}"""
                + ""","b":{"dtype":"U8","shape":[],"data_offsets":[4,5]}}"""
        );
        Gen.Select(Gen.Int[0, valid.Length - 1], Gen.Byte, Gen.Int[0, valid.Length - 1], Gen.Byte)
            .Sample(
                damage =>
                {
                    var header = (byte[])valid.Clone();
                    header[damage.Item1] = damage.Item2;
                    header[damage.Item3] = damage.Item4;
                    try
                    {
                        using var file = SafetensorsFile.Open(Made(folder, header, 5));
                        foreach (var entry in file.Entries)
                            _ = file.Bytes(entry).Length;
                    }
                    catch (UnsupportedCheckpointException)
                    {
                        // refused, as meant
                    }
                },
                iter: 2000,
                threads: 1
            );
    }

    [Fact]
    public void Bytes_AfterDispose_Throws()
    {
        using var folder = new TemporaryFolder();
        var file = SafetensorsFile.Open(
            Made(folder, Encoding.UTF8.GetBytes("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"""), 1)
        );
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Bytes(file.Entries[0]).Length);
    }

    private static string Made(TemporaryFolder folder, byte[] header, int dataLength)
    {
        var bytes = new byte[8 + header.Length + dataLength];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)header.Length);
        header.CopyTo(bytes, 8);
        var path = folder.At("made.safetensors");
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
