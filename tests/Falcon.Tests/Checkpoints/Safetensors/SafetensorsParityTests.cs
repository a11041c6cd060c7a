using System.Security.Cryptography;
using System.Text.Json;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;

namespace Falcon.Tests.Checkpoints.Safetensors;

/// <summary>Every file of the corpus, with the verdict that the reference reader gave it (manifest.json).</summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public class SafetensorsParityTests
{
    public static TheoryData<string> Files() =>
        Fixtures.NamesOrNone(
            File.Exists(Fixtures.At("safetensors", "manifest.json")) ? Manifest().Select(one => one.GetProperty("file").GetString()!) : []
        );

    [Theory]
    [MemberData(nameof(Files))]
    public void Open_CorpusFile_AgreesWithReference(string file)
    {
        Fixtures.SkipNone(file, "safetensors");
        var expected = Manifest().First(one => one.GetProperty("file").GetString() == file);
        var path = Fixtures.At("safetensors", file);
        var accepted = expected.GetProperty("verdict").GetString() == "accept";
        if (!accepted)
        {
            var error = Assert.Throws<UnsupportedCheckpointException>(() => SafetensorsFile.Open(path));
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
            return;
        }
        SafetensorsFile opened;
        try
        {
            opened = SafetensorsFile.Open(path);
        }
        catch (UnsupportedCheckpointException) when (expected.TryGetProperty("may_reject", out var mayReject) && mayReject.GetBoolean())
        {
            return;
        }
        using (opened) AssertSameTensors(expected, opened);
    }

    [Fact]
    public void Open_NameTwice_IsRejected()
    {
        var duplicates = Manifest()
            .Where(one =>
                one.TryGetProperty("may_reject_because", out var why) && why.GetString()!.Contains("duplicate", StringComparison.Ordinal)
            )
            .ToArray();
        Assert.All(duplicates, one =>
            Assert.Throws<UnsupportedCheckpointException>(() =>
                SafetensorsFile.Open(Fixtures.At("safetensors", one.GetProperty("file").GetString()!))
            )
        );
    }

    private static void AssertSameTensors(JsonElement expected, SafetensorsFile opened)
    {
        if (expected.TryGetProperty("metadata", out var metadata) && metadata.ValueKind == JsonValueKind.Object)
            Assert.Equal(metadata.EnumerateObject().ToDictionary(one => one.Name, one => one.Value.GetString()!), opened.Metadata);
        else
            Assert.Empty(opened.Metadata);
        if (!expected.TryGetProperty("tensors", out var tensors)) return;
        Assert.Equal(tensors.EnumerateObject().Count(), opened.Entries.Count);
        foreach (var tensor in tensors.EnumerateObject())
        {
            Assert.True(opened.TryGetEntry(tensor.Name, out var entry));
            Assert.Equal(tensor.Value.GetProperty("dtype").GetString(), entry.DType);
            Assert.Equal(tensor.Value.GetProperty("shape").EnumerateArray().Select(one => one.GetInt64()), entry.Shape);
            Assert.Equal(tensor.Value.GetProperty("data_offsets").EnumerateArray().Select(one => one.GetInt64()), [entry.Begin, entry.End]);
            Assert.Equal(tensor.Value.GetProperty("sha256").GetString(), Convert.ToHexStringLower(SHA256.HashData(opened.Bytes(entry))));
            using var copy = new MemoryStream();
            opened.CopyTo(entry, copy);
            Assert.Equal(opened.Bytes(entry), copy.ToArray());
        }
    }

    private static JsonElement[] Manifest()
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Fixtures.AtOrSkip("safetensors", "manifest.json")));
        return [.. document.RootElement.GetProperty("cases").Clone().EnumerateArray()];
    }
}
