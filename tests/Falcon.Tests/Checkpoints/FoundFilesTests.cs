using Falcon.Checkpoints;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Tests.Checkpoints;

/// <summary>Weight files as they are found in folders: stale ones, pointers, names with a wrapper's prefix.</summary>
public sealed class FoundFilesTests : IDisposable
{
    private const string Pointer =
        "version https://git-lfs.github.com/spec/v1\n"
        + "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 269060552\n";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static string Refusal(string folder) => Assert.ThrowsAny<FalconException>(() => Checkpoint.Open(folder)).Message;

    [Fact]
    public void Open_SingleFileBesideShards_IsRefusedNamingBoth()
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"), shards: 3);
        TinyCheckpoint.Write(_folder.At("older"));
        File.Copy(_folder.At("older", "model.safetensors"), Path.Combine(folder, "model.safetensors"));
        var message = Refusal(folder);
        Assert.Contains("there is a model.safetensors and also model.safetensors.index.json", message, StringComparison.Ordinal);
        Assert.Contains("Remove it: either the single file, or the index with its shards", message, StringComparison.Ordinal);

        foreach (var shard in Directory.GetFiles(folder, "model-*.safetensors"))
            File.Delete(shard);
        using var checkpoint = Checkpoint.Open(folder); // now the index is what is left over
        Assert.EndsWith("model.safetensors", Assert.Single(checkpoint.WeightFiles), StringComparison.Ordinal);
        Assert.Contains("none of the files that it names is there", Assert.Single(checkpoint.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void Open_IndexOfASingleFile_IsRead()
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"));
        var map = StoredTensors
            .Read(Path.Combine(folder, "model.safetensors"))
            .All.Select(tensor => $"\"{tensor.Name}\":\"model.safetensors\"");
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), $"{{\"weight_map\":{{{string.Join(",", map)}}}}}");
        using var checkpoint = Checkpoint.Open(folder);
        Assert.Empty(checkpoint.Notes);
    }

    [Fact]
    public void Open_OtherWeightFiles_AreNamed()
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"), shards: 2);
        File.Copy(Path.Combine(folder, "model-00001-of-00002.safetensors"), Path.Combine(folder, "model-00001-of-00003.safetensors"));
        using var checkpoint = Checkpoint.Open(folder);
        Assert.Contains("model-00001-of-00003.safetensors", Assert.Single(checkpoint.Notes), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("model-00002-of-00002.safetensors")]
    [InlineData("model.safetensors.index.json")]
    [InlineData("config.json")]
    public void Open_GitLfsPointer_SaysSoWithTheRemedy(string name)
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"), shards: name == "model.safetensors" ? 1 : 2);
        File.WriteAllText(Path.Combine(folder, name), Pointer);
        var message = Refusal(folder);
        Assert.Contains(name, message, StringComparison.Ordinal);
        Assert.Contains("this is a Git LFS pointer", message, StringComparison.Ordinal);
        Assert.Contains("git lfs pull", message, StringComparison.Ordinal);
        Assert.Contains("falcon download", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    [InlineData("tokenizer.model")]
    [InlineData("chat_template.jinja")]
    public void Tokenizer_GitLfsPointer_SaysSo(string name)
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"));
        if (name == "tokenizer.model")
            File.Delete(Path.Combine(folder, "tokenizer.json"));
        File.WriteAllText(Path.Combine(folder, name), Pointer);
        var message = Assert.ThrowsAny<FalconException>(() => HfTokenizer.Load(folder)).Message;
        Assert.Contains($"{name}: this is a Git LFS pointer", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("module.", "")]
    [InlineData("_orig_mod.", "")]
    [InlineData("module._orig_mod.", "")]
    [InlineData("", "_orig_mod.")]
    public void Open_NamesOfAWrapper_ShowsANameFromTheFile(string before, string inside)
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"));
        StoredTensors.Change(Path.Combine(folder, "model.safetensors"), tensors =>
            tensors.Rename(name => before + name.Replace("model.layers.1.", $"model.layers.1.{inside}", StringComparison.Ordinal))
        );
        var message = Refusal(folder);
        Assert.Contains(
            before.Length > 0 ? $"is called \"{before}model.embed_tokens.weight\" in the file" : "(the file has model.layers.1._orig_mod.",
            message,
            StringComparison.Ordinal
        );
        if (before.Length > 0)
            Assert.Contains($"The names begin with \"{before}\"", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.layers.0.mlp.down_proj.weight.absmax")]
    [InlineData("model.layers.0.mlp.down_proj.weight.quant_state.bitsandbytes__nf4")]
    [InlineData("model.layers.0.mlp.down_proj.SCB")]
    public void Open_LeftoversOfQuantisedWeights_AreNamed(string leftover)
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"));
        StoredTensors.Change(Path.Combine(folder, "model.safetensors"), tensors => tensors.All.Add((leftover, "F32", [1], [0, 0, 0, 0])));
        var message = Refusal(folder);
        Assert.Contains($"\"{leftover}\" belongs to quantised weights", message, StringComparison.Ordinal);
    }

    // Files that made earlier readers crash; each is read, or refused with its name.
    [Theory]
    [InlineData("config-EX1.json")]
    [InlineData("config-EX5.json")]
    [InlineData("config-EX12.json")]
    [InlineData("tokenizer-EX4.json")]
    [InlineData("tokenizer-EX10.json")]
    [InlineData("tokenizer-class-intersection.json")]
    public void Read_FaultyFile_IsReadOrRefused(string name)
    {
        var source = Fixtures.SharedOrSkip("fixtures", "faults", name);
        var ofTokenizer = name.StartsWith("tokenizer", StringComparison.Ordinal);
        var folder = TinyCheckpoint.Write(_folder.At("model"));
        File.Delete(Path.Combine(folder, ofTokenizer ? "tokenizer.json" : "config.json"));
        File.Copy(source, Path.Combine(folder, ofTokenizer ? "tokenizer.json" : "config.json"));
        try
        {
            if (ofTokenizer) Assert.NotEmpty(HfTokenizer.Load(folder).Encode("The capital of France is Paris."));
            else Falcon.Models.Families.ModelConfig.Load(folder);
        }
        catch (FalconException error)
        {
            Assert.StartsWith(folder, error.Message, StringComparison.Ordinal);
        }
    }
}
