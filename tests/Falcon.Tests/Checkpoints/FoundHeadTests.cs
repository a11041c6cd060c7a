using Falcon.Checkpoints;
using Falcon.Runtime;
using Falcon.Tests.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Tests.Checkpoints;

/// <summary>Output heads as published files have them: none, a copy, another one, under another name.</summary>
public sealed class FoundHeadTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static string WeightsOf(string folder) => Path.Combine(folder, "model.safetensors");

    [Fact]
    public void Open_TiedWithAnEqualHeadInTheFile_IsRead()
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"));
        StoredTensors.Change(WeightsOf(folder), tensors => tensors.Copy("model.embed_tokens.weight", "lm_head.weight", changed: false));
        using var checkpoint = Checkpoint.Open(folder);
        Assert.True(checkpoint.Config.TiedEmbeddings);
        Assert.Empty(checkpoint.Notes);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(null)]
    public void Open_TiedWithAnotherHeadInTheFile_IsRefusedWithBothRemedies(bool? declared)
    {
        // Of two families: one that ties by its key, one that ties where the key is absent.
        var folder = declared is null ? FamilyCase.Of("GPT-2").Write(_folder.At("model")) : TinyCheckpoint.Write(_folder.At("model"));
        TinyCheckpoint.Edit(folder, config =>
        {
            config.Remove("tie_word_embeddings");
            if (declared is { } value)
                config["tie_word_embeddings"] = value;
        });
        var embedding = declared is null ? "transformer.wte.weight" : "model.embed_tokens.weight";
        StoredTensors.Change(WeightsOf(folder), tensors => tensors.Copy(embedding, "lm_head.weight", changed: true));
        var message = Assert.Throws<UnsupportedCheckpointException>(() => Checkpoint.Open(folder)).Message;
        Assert.Contains("\"lm_head.weight\" is not the embedding", message, StringComparison.Ordinal);
        Assert.Contains("set \"tie_word_embeddings\": false", message, StringComparison.Ordinal);
        Assert.Contains("remove the tensor", message, StringComparison.Ordinal);

        TinyCheckpoint.Edit(folder, config => config["tie_word_embeddings"] = false);
        using var checkpoint = Checkpoint.Open(folder);
        Assert.False(checkpoint.Config.TiedEmbeddings);
    }

    [Fact]
    public void Open_TiedWithAHeadOfAnotherDtype_IsRefused()
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"));
        StoredTensors.Change(WeightsOf(folder), tensors =>
        {
            var source = tensors.All.Single(tensor => tensor.Name == "model.embed_tokens.weight");
            tensors.All.Add(("lm_head.weight", "BF16", source.Shape, source.Bytes[..(source.Bytes.Length / 2)]));
        });
        var message = Assert.Throws<UnsupportedCheckpointException>(() => Checkpoint.Open(folder)).Message;
        Assert.Contains("BF16 [257, 16] against F32 [257, 16]", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_NoHeadAndNoKey_SaysWhichKeyToSetOrTiesWithANote()
    {
        var folder = TinyCheckpoint.Write(_folder.At("llama"));
        TinyCheckpoint.Edit(folder, config => config.Remove("tie_word_embeddings"));
        var message = Assert.Throws<UnsupportedCheckpointException>(() => Checkpoint.Open(folder)).Message;
        Assert.Contains("\"tie_word_embeddings\" is not there, which for a llama model means false", message, StringComparison.Ordinal);
        Assert.Contains("set \"tie_word_embeddings\": true", message, StringComparison.Ordinal);

        var gemma = FamilyCase.Of("Gemma 2").Write(_folder.At("gemma"));
        TinyCheckpoint.Edit(gemma, config => config.Remove("tie_word_embeddings"));
        using var checkpoint = Checkpoint.Open(gemma);
        Assert.True(checkpoint.Config.TiedEmbeddings);
        Assert.Contains("which for a gemma2 model means true", Assert.Single(checkpoint.Notes), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lm_head.weight")]
    [InlineData("language_model.lm_head.weight")]
    public void ImageModel_UntiedAtTheTop_UsesItsOwnHead(string head)
    {
        var folder = FamilyCase.Of("Gemma 3 with a vision part").Write(_folder.At("model"));
        using var scope = NewDisposeScope();
        var tied = Logits(folder);
        // The head has the rows of the embedding in reverse order, so its logits are those of the tied model in reverse order.
        StoredTensors.Change(WeightsOf(folder), tensors =>
        {
            var source = tensors.All.Single(tensor => tensor.Name.EndsWith("embed_tokens.weight", StringComparison.Ordinal));
            var rows = source.Bytes.Chunk(source.Bytes.Length / (int)source.Shape[0]).Reverse();
            tensors.All.Add((head, source.DType, source.Shape, [.. rows.SelectMany(row => row)]));
        });
        // Published files do not repeat the key in text_config.
        TinyCheckpoint.Edit(folder, config =>
        {
            config["tie_word_embeddings"] = false;
            config["text_config"]!.AsObject().Remove("tie_word_embeddings");
        });
        var own = Logits(folder);
        Assert.True((own - tied).abs().max().item<float>() > 0.1f);
        Assert.True((own - tied.flip(-1)).abs().max().item<float>() < 1e-5f);

        TinyCheckpoint.Edit(folder, config => config["text_config"]!["tie_word_embeddings"] = true);
        Assert.Contains(
            "in text_config it is true",
            Assert.Throws<UnsupportedCheckpointException>(() => Checkpoint.Open(folder)).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Open_TwoHeadsThatDiffer_IsRefused()
    {
        var folder = FamilyCase.Of("Gemma 3 with a vision part").Write(_folder.At("model"));
        StoredTensors.Change(WeightsOf(folder), tensors =>
        {
            var embedding = tensors.All.Single(tensor => tensor.Name.EndsWith("embed_tokens.weight", StringComparison.Ordinal)).Name;
            tensors.Copy(embedding, "lm_head.weight", changed: false);
            tensors.Copy(embedding, "language_model.lm_head.weight", changed: true);
        });
        TinyCheckpoint.Edit(folder, config =>
        {
            config["tie_word_embeddings"] = false;
            config["text_config"]!.AsObject().Remove("tie_word_embeddings");
        });
        Assert.Contains(
            "is not the output head",
            Assert.Throws<UnsupportedCheckpointException>(() => Checkpoint.Open(folder)).Message,
            StringComparison.Ordinal
        );
    }

    // The copy would otherwise keep the old embedding, and with it what was removed.
    [Fact]
    public void Write_ChangedEmbedding_ChangesItsStoredCopyToo()
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"));
        StoredTensors.Change(WeightsOf(folder), tensors => tensors.Copy("model.embed_tokens.weight", "lm_head.weight", changed: false));
        using (var checkpoint = Checkpoint.Open(folder))
        using (var values = zeros(257, 16))
            CheckpointWriter.Write(
                checkpoint,
                _folder.At("changed"),
                new Dictionary<string, BlockTensor> { ["model.embed_tokens.weight"] = BlockTensor.Borrow(values) }
            );
        using var changed = Checkpoint.Open(_folder.At("changed"));
        Assert.All(
            StoredTensors.Read(WeightsOf(_folder.At("changed"))).All.Single(tensor => tensor.Name == "lm_head.weight").Bytes,
            value => Assert.Equal(0, value)
        );
    }

    private static Tensor Logits(string folder)
    {
        var (weights, model) = Checkpoint.LoadModel(folder, float32, CPU);
        using var owned = weights;
        using var noGrad = no_grad();
        long[] ids = [.. FamilyCase.Ids(9, 1).Select(id => (long)id)];
        using var context = model.Causal(ids.Length);
        return model.Logits(tensor(ids, [1, ids.Length]), context);
    }
}
