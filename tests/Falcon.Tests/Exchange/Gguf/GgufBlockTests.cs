using System.Runtime.InteropServices;
using System.Text.Json;
using Falcon.Checkpoints.Gguf;

namespace Falcon.Tests.Exchange.Gguf;

/// <summary>The numbers that quantised blocks stand for, bit for bit those of ggml (fixtures/gguf/dequant).</summary>
[Trait("Category", "Parity")]
public sealed class GgufBlockTests
{
    private static string Folder => Fixtures.At("gguf", "dequant");

    public static TheoryData<string, string, string> Cases()
    {
        TheoryData<string, string, string> cases = [];
        foreach (var entry in Index("entries"))
        {
            var name = entry.GetProperty("name").GetString()!;
            cases.Add(name, File("raw", entry), File("f32", entry));
            if (entry.TryGetProperty("random", out var random))
                cases.Add(name, File("raw", random), File("f32", random));
        }

        if (Index("real") is [var real, ..] && real.TryGetProperty("type", out _))
            foreach (var entry in Index("real"))
                cases.Add(entry.GetProperty("type").GetString()!, File("raw", entry), File("f32", entry));
        if (cases.Count == 0)
            cases.Add("", "", "");
        return cases;

        static string File(string key, JsonElement entry) => entry.GetProperty(key).GetProperty("file").GetString()!;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Dequantize_EveryBlock_IsThatOfGgml(string type, string raw, string expected)
    {
        if (type.Length == 0)
            Assert.Skip($"no golden blocks at {Folder}");
        Assert.SkipUnless(File.Exists(Path.Combine(Folder, raw)), $"{raw} is not in this copy of the fixtures");
        var read = GgufType.All.FirstOrDefault(one => one.Name == type);
        Assert.SkipWhen(read is null, $"{type} is refused by name");
        var bytes = File.ReadAllBytes(Path.Combine(Folder, raw));
        var values = new float[bytes.Length / read!.BlockBytes * read.BlockSize];
        read.Dequantize(bytes, values);
        var golden = File.ReadAllBytes(Path.Combine(Folder, expected));
        var bits = MemoryMarshal.Cast<float, uint>(values);
        var wanted = MemoryMarshal.Cast<byte, uint>(golden);
        Assert.Equal(wanted.Length, bits.Length);
        for (var i = 0; i < bits.Length; i++)
            if (bits[i] != wanted[i] && !(float.IsNaN(values[i]) && float.IsNaN(BitConverter.UInt32BitsToSingle(wanted[i]))))
                Assert.Fail($"value {i}: {values[i]:G9}, wanted {BitConverter.UInt32BitsToSingle(wanted[i]):G9}");
    }

    private static List<JsonElement> Index(string key)
    {
        var path = Path.Combine(Folder, "index.json");
        if (!File.Exists(path))
            return [];
        var list = JsonDocument.Parse(File.ReadAllBytes(path)).RootElement.GetProperty(key);
        if (list.ValueKind == JsonValueKind.Object)
            list = list.GetProperty("entries");
        return [.. list.EnumerateArray()];
    }
}
