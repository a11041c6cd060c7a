using System.Buffers.Binary;
using System.Text;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;

namespace Falcon.Tests.Checkpoints.Safetensors;

public class SafetensorsWriterTests
{
    [Fact]
    public void Write_MixedTypes_HasTheReferenceLayout()
    {
        // Expected text worked out by hand from rule 12 of the fixtures' README: widest dtype first, then names in byte order, spaces to a
        // multiple of 8.
        using var folder = new TemporaryFolder();
        var path = folder.At("model.safetensors");
        SafetensorsWriter.Write(
            path,
            [Source("b", "BF16", [1], 2), Source("a", "F32", [1, 2], 8), Source("é\"\n\u0001", "BF16", [], 2), Source("B", "BF16", [0], 0)]
        );
        var bytes = File.ReadAllBytes(path);
        var headerLength = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        Assert.Equal(0, headerLength % 8);
        Assert.Equal(
            """{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"""
                + """ "B":{"dtype":"BF16","shape":[0],"data_offsets":[8,8]},""".TrimStart()
                + """ "b":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]},""".TrimStart()
                + """ "é\"\n\u0001":{"dtype":"BF16","shape":[],"data_offsets":[10,12]}}""".TrimStart(),
            Encoding.UTF8.GetString(bytes, 8, headerLength).TrimEnd(' ')
        );
        Assert.Equal(8 + headerLength + 12, bytes.Length);
    }

    [Fact]
    public void Write_ThenOpen_GivesTheSameTensors()
    {
        using var folder = new TemporaryFolder();
        var path = folder.At("kept.safetensors");
        SafetensorsSource[] sources = [Source("z", "U8", [3], 3), Source("a", "F64", [2], 16), Source("", "F4", [4], 2)];
        SafetensorsWriter.Write(path, sources, new Dictionary<string, string> { ["format"] = "pt", ["note"] = "a \\ b" }, keepOrder: true);
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(["z", "a", ""], file.Entries.Select(entry => entry.Name));
        Assert.Equal("a \\ b", file.Metadata["note"]);
        Assert.Equal(new byte[] { 1, 2, 3 }, file.Bytes(file.Entries[0]).ToArray());
        Assert.Equal(new byte[] { 2, 3 }, file.Bytes(file.Entries[0], 1, 2).ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Bytes(file.Entries[0], 2, 2).Length);
    }

    [Fact]
    public void Write_Corpus_RewritesEveryReadableFileWithTheSameTensors()
    {
        using var folder = new TemporaryFolder();
        foreach (var original in Directory.GetFiles(Fixtures.AtOrSkip("safetensors"), "*.safetensors"))
        {
            SafetensorsFile source;
            try { source = SafetensorsFile.Open(original); } catch (UnsupportedCheckpointException) { continue; }
            using (source)
            {
                var path = folder.At("copy.safetensors");
                SafetensorsWriter.Write(
                    path,
                    [
                        .. source.Entries.Select(entry => new SafetensorsSource(entry.Name, entry.DType, entry.Shape, target =>
                            source.CopyTo(entry, target)
                        )),
                    ],
                    source.Metadata,
                    keepOrder: true
                );
                using var copy = SafetensorsFile.Open(path);
                Assert.Equal(source.Entries.Select(Describe), copy.Entries.Select(Describe));
                Assert.All(source.Entries.Zip(copy.Entries), pair => Assert.Equal(source.Bytes(pair.First), copy.Bytes(pair.Second)));
            }
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    public void Write_SourceOfWrongLength_FailsAndLeavesNothing(int written)
    {
        using var folder = new TemporaryFolder();
        Assert.Throws<InvalidOperationException>(() =>
            SafetensorsWriter.Write(folder.At("x.safetensors"), [Source("a", "F32", [1], written)])
        );
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void Write_WrongNames_AreArgumentErrors()
    {
        using var folder = new TemporaryFolder();
        Assert.Throws<ArgumentException>(() =>
            SafetensorsWriter.Write(folder.At("x"), [Source("a", "U8", [1], 1), Source("a", "U8", [1], 1)])
        );
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(folder.At("x"), [Source("__metadata__", "U8", [1], 1)]));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(folder.At("x"), [Source("a", "float", [1], 1)]));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void Write_FolderMissing_NamesThePath()
    {
        using var folder = new TemporaryFolder();
        var path = folder.At("missing", "x.safetensors");
        var error = Assert.Throws<UserInputException>(() => SafetensorsWriter.Write(path, []));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Write_NoSpace_NamesThePathAndKeepsTheOldFile()
    {
        // A tensor larger than any disk: the space is asked for before the first byte.
        using var folder = new TemporaryFolder();
        var path = folder.At("x.safetensors");
        SafetensorsWriter.Write(path, [Source("a", "U8", [1], 1)]);
        var error = Assert.Throws<UserInputException>(() =>
            SafetensorsWriter.Write(path, [new SafetensorsSource("a", "U8", [1L << 60], _ => { })])
        );
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Equal([path], Directory.GetFileSystemEntries(folder.Path));
        using var old = SafetensorsFile.Open(path);
        Assert.Single(old.Entries);
    }

    [Fact]
    public void Write_SourceThatFails_PassesItsErrorOnAndLeavesNothing()
    {
        using var folder = new TemporaryFolder();
        var path = folder.At("x.safetensors");
        var failing = new SafetensorsSource("a", "U8", [4], _ => throw new IOException("the source broke"));
        Assert.Throws<IOException>(() => SafetensorsWriter.Write(path, [failing]));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    private static string Describe(SafetensorsEntry entry) =>
        $"{entry.Name} {entry.DType} [{string.Join(',', entry.Shape)}] {entry.Begin} {entry.End}";

    private static SafetensorsSource Source(string name, string dtype, long[] shape, int bytes) =>
        new(name, dtype, shape, target => target.Write([.. Enumerable.Range(1, bytes).Select(value => (byte)value)]));
}
