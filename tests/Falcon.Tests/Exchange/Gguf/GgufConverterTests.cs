using System.Runtime.InteropServices;
using System.Text.Json;
using Falcon.Checkpoints.Gguf;
using Falcon.Exchange.Gguf;
using Falcon.Runtime;

namespace Falcon.Tests.Exchange.Gguf;

/// <summary>Exported files hold the numbers and keys that llama.cpp's own converter writes (fixtures/gguf).</summary>
[Trait("Category", "Parity")]
public sealed class GgufConverterTests : IDisposable
{
    private static readonly string[] Written = ["F32", "F16", "BF16", "Q8_0"];

    // The name is the folder's, the size is counted otherwise, and scores need only have the same order.
    private static readonly string[] Other =
    [
        "general.name",
        "general.size_label",
        "tokenizer.ggml.scores",
        "tokenizer.ggml.add_sep_token",
        "tokenizer.ggml.add_eos_token",
    ];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string> Files()
    {
        var root = Fixtures.At("gguf", "models");
        if (!Directory.Exists(root))
            return new([("", "")]);
        List<(string, string)> found =
        [
            .. from path in Directory.EnumerateFiles(root, "*.gguf", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            let type = Path.GetFileNameWithoutExtension(path).Split('.')[^1]
            where Written.Contains(type) && File.Exists(Path.Combine(Path.GetDirectoryName(path)!, "hf", "model.safetensors"))
            select (Path.GetRelativePath(root, path), type),
        ];
        return new(found.Count > 0 ? found : [("", "")]);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Export_EachModel_IsWhatTheConverterWrites(string name, string type)
    {
        if (name.Length == 0)
            Assert.Skip("no GGUF models with the checkpoint they were made from");
        var path = Fixtures.At("gguf", "models", name);
        var result = GgufExport.Execute(
            Path.Combine(Path.GetDirectoryName(path)!, "hf"),
            type.ToLowerInvariant(),
            _folder.At("a.gguf"),
            RunContext.Quiet
        );
        using var golden = GgufFile.Open(path);
        using var written = GgufFile.Open(result.File);
        foreach (var key in golden.Metadata.Keys.Except(Other))
        {
            Assert.True(written.Metadata.Has(key), key);
            Assert.Equal(golden.Metadata.Value(key), written.Metadata.Value(key));
        }

        var tensors = written.Tensors.ToDictionary(tensor => tensor.Name);
        foreach (var wanted in golden.Tensors)
        {
            Assert.True(tensors.Remove(wanted.Name, out var tensor), wanted.Name);
            Assert.Equal((wanted.Type.Name, wanted.ShapeText), (tensor!.Type.Name, tensor.ShapeText));
            var (one, other) = (new float[wanted.Count], new float[wanted.Count]);
            golden.Read(wanted, 0, one);
            written.Read(tensor, 0, other);
            for (var i = 0; i < one.Length; i++)
                if (!Same(one[i], other[i], wanted.Name))
                    Assert.Fail($"{wanted.Name} value {i}: {other[i]:G9}, wanted {one[i]:G9}");
        }

        Assert.Empty(tensors.Keys.Except(["output.weight"])); // a tied one may be written
    }

    // Rotary divisors are computed, by the converter in float32.
    private static bool Same(float wanted, float value, string name) =>
        name == "rope_freqs.weight"
            ? MathF.Abs(value / wanted - 1) < 1e-6f
            : BitConverter.SingleToUInt32Bits(wanted) == BitConverter.SingleToUInt32Bits(value);

    public static TheoryData<string, string> Blocks()
    {
        var index = Fixtures.At("gguf", "dequant", "index.json");
        if (!File.Exists(index))
            return new([("", "")]);
        return new([
            .. from entry in JsonDocument.Parse(File.ReadAllBytes(index)).RootElement.GetProperty("entries").EnumerateArray()
            let type = entry.GetProperty("name").GetString()!
            where Written.Contains(type)
            select (type, entry.GetProperty("raw").GetProperty("file").GetString()!),
        ]);
    }

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Encode_TheGoldenNumbers_GivesTheBytesOfGgml(string type, string raw)
    {
        var source = Fixtures.At("gguf", "dequant", "source.f32");
        if (type.Length == 0 || !File.Exists(source) || !File.Exists(Fixtures.At("gguf", "dequant", raw)))
            Assert.Skip("no golden blocks");
        var values = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(source)).ToArray();
        var read = GgufType.Named(type);
        var bytes = new byte[read.Bytes(values.Length)];
        BlockEncoding.Encode(read, values, bytes);
        Assert.Equal(File.ReadAllBytes(Fixtures.At("gguf", "dequant", raw)), bytes);
    }
}
