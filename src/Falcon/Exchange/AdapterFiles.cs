using System.Text.Json.Nodes;
using Falcon.Runtime;

namespace Falcon.Exchange;

/// <summary>The files of a LoRA adapter in PEFT's layout; the configuration has sorted keys, indented by two spaces.</summary>
internal static class AdapterFiles
{
    public const string Weights = "adapter_model.safetensors";
    public const string Configuration = "adapter_config.json";

    /// <summary>The name of a module's factor in the weight file; <paramref name="factor"/> is A or B.</summary>
    public static string TensorName(string module, char factor) => $"base_model.model.{module}.lora_{factor}.weight";

    /// <summary>
    /// The text of adapter_config.json. The scale alpha / r is 1 for every matrix, including small ones of a lower rank.
    /// </summary>
    /// <param name="baseModel">
    /// Hub name of the base model; null leaves the key out, since a path would be looked up on a hub by whoever has no such folder.
    /// </param>
    /// <param name="rank">The rank of all modules but those in <paramref name="lowerRanks"/>.</param>
    /// <param name="modules">The adapted modules, by their full names.</param>
    /// <param name="lowerRanks">The ranks of modules whose smaller side is below the rank.</param>
    /// <param name="transposed">Whether the base model stores its matrices as [in, out] (GPT-2).</param>
    public static string ConfigurationText(
        string? baseModel,
        int rank,
        IEnumerable<string> modules,
        IReadOnlyDictionary<string, int> lowerRanks,
        bool transposed
    )
    {
        JsonObject Ranks()
        {
            var ordered = lowerRanks.OrderBy(item => item.Key, StringComparer.Ordinal);
            return new(ordered.Select(item => KeyValuePair.Create(item.Key, (JsonNode?)JsonValue.Create(item.Value))));
        }

        Dictionary<string, JsonNode?> values = new()
        {
            ["alpha_pattern"] = Ranks(),
            ["auto_mapping"] = null,
            ["bias"] = "none",
            ["corda_config"] = null,
            ["ensure_weight_tying"] = false,
            ["eva_config"] = null,
            ["exclude_modules"] = null,
            ["fan_in_fan_out"] = transposed,
            ["inference_mode"] = true,
            ["init_lora_weights"] = true,
            ["layer_replication"] = null,
            ["layers_pattern"] = null,
            ["layers_to_transform"] = null,
            ["loftq_config"] = new JsonObject(),
            ["lora_alpha"] = rank,
            ["lora_bias"] = false,
            ["lora_dropout"] = 0.0,
            ["megatron_config"] = null,
            ["megatron_core"] = "megatron.core",
            ["modules_to_save"] = null,
            ["peft_type"] = "LORA",
            ["qalora_group_size"] = 16,
            ["r"] = rank,
            ["rank_pattern"] = Ranks(),
            ["revision"] = null,
            ["target_modules"] = new JsonArray([.. modules.Order(StringComparer.Ordinal).Select(module => (JsonNode)module)]),
            ["target_parameters"] = null,
            ["task_type"] = "CAUSAL_LM",
            ["trainable_token_indices"] = null,
            ["use_dora"] = false,
            ["use_qalora"] = false,
            ["use_rslora"] = false,
        };
        if (baseModel is not null) values["base_model_name_or_path"] = baseModel;
        return new JsonObject(values.OrderBy(item => item.Key, StringComparer.Ordinal)).ToJsonString(ResultJson.Options);
    }
}
