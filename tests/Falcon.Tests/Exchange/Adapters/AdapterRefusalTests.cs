using System.Text.Json.Nodes;
using Falcon.Tests.Cli;

namespace Falcon.Tests.Exchange.Adapters;

/// <summary>Adapters that are not merged: one line with the key, module or tensor, exit code 2, and nothing written.</summary>
public sealed class AdapterRefusalTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Refused(Action<TinyAdapter> change, Action<string>? after = null)
    {
        var adapter = TinyAdapter.Usual();
        change(adapter);
        adapter.Write(_folder.At("adapter"));
        after?.Invoke(_folder.At("adapter"));
        var model = TinyCheckpoint.Write(_folder.At("base"));
        var run = CommandRun.Of("export", "merged", "--model", model, "--adapter", _folder.At("adapter"), "--out", _folder.At("merged"));
        Assert.True(run.ExitCode == 2, $"{run.ExitCode}: {string.Join('\n', run.Errors)}");
        Assert.False(Directory.Exists(_folder.At("merged")) || Directory.Exists(_folder.At("merged.partial")));
        return run.Errors[^1];
    }

    [Theory]
    [InlineData("peft_type", "\"LOHA\"")]
    [InlineData("task_type", "\"SEQ_CLS\"")]
    [InlineData("bias", "\"some\"")]
    [InlineData("init_lora_weights", "\"pissa\"")]
    [InlineData("init_lora_weights", "\"pissa_niter_4\"")]
    [InlineData("init_lora_weights", "\"olora\"")]
    [InlineData("layer_replication", "[[0, 2], [1, 3]]")]
    [InlineData("trainable_token_indices", "[1, 2]")]
    [InlineData("target_parameters", "[\"mlp.experts.gate_up_proj\"]")]
    [InlineData("alora_invocation_tokens", "[5, 6]")]
    [InlineData("use_qalora", "true")]
    [InlineData("use_bdlora", "{\"nblocks\": 2}")]
    [InlineData("arrow_config", "{\"top_k\": 3}")]
    [InlineData("kasa_config", "{\"beta\": 1}")]
    [InlineData("megatron_config", "{\"a\": 1}")]
    [InlineData("a_key_of_next_year", "0.5")]
    [InlineData("use_dora", "\"yes\"")]
    [InlineData("r", "0")]
    [InlineData("r", "2.5")]
    [InlineData("rank_pattern", "{\"q_proj\": 0}")]
    [InlineData("rank_pattern", "{\"q_proj(\": 2}")]
    [InlineData("alpha_pattern", "{\"(a)\\\\1\": 2}")]
    [InlineData("target_modules", "null")]
    [InlineData("target_modules", "[\"q_proj\", \"down_proj\", \"c_attn\"]")]
    [InlineData("target_modules", "\"no_such_module\"")]
    [InlineData("target_modules", "\"[a-z-[q]]+\"")]
    [InlineData("layers_to_transform", "[0, 9]")]
    [InlineData("layers_pattern", "\"layers\"")]
    [InlineData("modules_to_save", "[\"score\"]")]
    [InlineData("modules_to_save", "[\"lm_head\"]")]
    public void Merge_KeyThatIsNotUnderstood_IsRefusedByName(string key, string value)
    {
        var message = Refused(adapter => adapter.Config[key] = JsonNode.Parse(value));
        Assert.Contains(key == "modules_to_save" && value.Contains("lm_head") ? "lm_head.weight" : key, message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("layers_to_transform", "[1]")]
    [InlineData("exclude_modules", "[\"down_proj\"]")]
    [InlineData("use_rslora", "true", "model.layers.0.self_attn.k_proj.lora_A.weight")]
    [InlineData("lora_dropout", "0", "model.layers.0.self_attn.q_proj.lora_magnitude_vector")]
    [InlineData("lora_dropout", "0", "model.layers.0.self_attn.q_proj.lora_B.bias")]
    [InlineData("lora_dropout", "0", "model.embed_tokens.token_adapter.trainable_tokens_delta")]
    [InlineData("lora_dropout", "0", "model.norm.weight")]
    public void Merge_TensorWithoutAPlace_IsRefusedByName(string key, string value, string? tensor = null)
    {
        var message = Refused(adapter =>
        {
            adapter.Config[key] = JsonNode.Parse(value);
            if (tensor is not null)
                adapter.Add(tensor, 2, 16);
        });
        Assert.Contains(TinyAdapter.Prefix + (tensor ?? "model.layers.0"), message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("use_dora", "true", "lora_magnitude_vector")]
    [InlineData("lora_bias", "true", "lora_bias")] // the base has no bias that it could be added to
    [InlineData("target_modules", "[\"q_proj\", \"down_proj\", \"up_proj\"]", "up_proj.lora_A.weight")]
    [InlineData("r", "3", "q_proj.lora_A.weight")]
    [InlineData("rank_pattern", "{\"down_proj\": 4}", "down_proj.lora_A.weight")]
    public void Merge_TensorThatIsMissingOrMisshapen_IsRefusedByName(string key, string value, string named) =>
        Assert.Contains(named, Refused(adapter => adapter.Config[key] = JsonNode.Parse(value)), StringComparison.Ordinal);

    [Fact]
    public void Merge_VocabularyResizedInTraining_IsRefused()
    {
        var message = Refused(adapter => adapter.Add("model.embed_tokens.weight", 259, 16));
        Assert.Contains("embed_tokens.weight\" has shape [259, 16]", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Merge_FilesThatAreNoAdapter_AreRefusedByName()
    {
        Assert.Contains(
            "pickle",
            Refused(
                _ => { },
                folder => File.Move(Path.Combine(folder, "adapter_model.safetensors"), Path.Combine(folder, "adapter_model.bin"))
            ),
            StringComparison.Ordinal
        );
        Directory.Delete(_folder.At("adapter"), recursive: true);
        Assert.Contains(
            "adapter_config.json: not found",
            Refused(_ => { }, folder => File.Delete(Path.Combine(folder, "adapter_config.json"))),
            StringComparison.Ordinal
        );
        Assert.Contains(
            "not valid JSON",
            Refused(_ => { }, folder => File.WriteAllText(Path.Combine(folder, "adapter_config.json"), "{")),
            StringComparison.Ordinal
        );
        Assert.Contains(
            "not a readable safetensors",
            Refused(_ => { }, folder => File.WriteAllText(Path.Combine(folder, "adapter_model.safetensors"), "short")),
            StringComparison.Ordinal
        );
    }
}
