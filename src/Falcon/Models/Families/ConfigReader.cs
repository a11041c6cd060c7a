using System.Globalization;
using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Models.Families;

/// <summary>
/// Reads the keys of a <c>config.json</c> and remembers which ones were read, so that any other key can be refused by name.
/// </summary>
internal sealed class ConfigReader(string path, JsonElement root)
{
    // Keys that do not affect the forward pass of a decoder-only model: provenance, generation defaults, training settings.
    private static readonly HashSet<string> Harmless =
    [
        "_name_or_path",
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_commit_hash",
        "architectures",
        "auto_map",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "unk_token_id",
        "sep_token_id",
        "cls_token_id",
        "decoder_start_token_id",
        "dtype",
        "torch_dtype",
        "transformers_version",
        "use_cache",
        "initializer_range",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "torchscript",
        "use_bfloat16",
        "chunk_size_feed_forward",
        "id2label",
        "label2id",
        "is_decoder",
        "is_encoder_decoder",
        "finetuning_task",
        "problem_type",
        "task_specific_params",
        "tokenizer_class",
        "prefix",
        "pruned_heads",
        "do_sample",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
        "max_length",
        "min_length",
        "repetition_penalty",
        "length_penalty",
        "early_stopping",
        "num_beams",
        "num_beam_groups",
        "num_return_sequences",
        "no_repeat_ngram_size",
        "bad_words_ids",
        "begin_suppress_tokens",
        "suppress_tokens",
        "diversity_penalty",
        "encoder_no_repeat_ngram_size",
        "exponential_decay_length_penalty",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "remove_invalid_values",
        "output_scores",
        "return_dict_in_generate",
        "add_cross_attention",
        "cross_attention_hidden_size",
        "tie_encoder_decoder",
        "cache_implementation",
        "unsloth_fixed",
        "unsloth_version",
        "model_name",
        "tf_legacy_loss",
        "is_llama_config",
        "transformers.js_config",
        "num_labels",
        "_num_labels",
        "attn_implementation",
        "neftune_noise_alpha",
        "keys_to_ignore_at_inference",
        "model_max_length",
        "mask_token_id",
        "pretraining_tp",
    ];

    private readonly HashSet<string> _read = [];

    public bool Has(string key) => Find(key) is not null;

    public string String(string key, string? missing = null) => StringOrNull(key) ?? missing ?? throw Missing(key);

    public string? StringOrNull(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } value => value.GetString(),
        { } value => throw WrongType(key, value, "a string"),
    };

    public IReadOnlyList<string> Strings(string key) =>
        List(key, JsonValueKind.String, "a list of strings", item => item.GetString()!);

    public IReadOnlyList<int> Ints(string key) => Find(key) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Number } value => [ToInt(key, value)],
        { ValueKind: JsonValueKind.Array } value => [.. value.EnumerateArray().Select(item => ToInt(key, item))],
        { } value => throw WrongType(key, value, "a number or a list of numbers"),
    };

    public int? IntOrNull(string key) => Find(key) is { } value ? ToInt(key, value) : null;

    public int? PositiveIntOrNull(string key) => IntOrNull(key) switch
    {
        null => null,
        > 0 and var value => value,
        var value => throw Unsupported(key, $"{value}", "it must be at least 1"),
    };

    public int PositiveInt(string key, int? missing = null) => PositiveIntOrNull(key) ?? missing ?? throw Missing(key);

    public double Double(string key, double? missing = null) => Find(key) switch
    {
        null => missing ?? throw Missing(key),
        { ValueKind: JsonValueKind.Number } value => value.GetDouble(),
        { } value => throw WrongType(key, value, "a number"),
    };

    /// <summary>A number or null, as written; <paramref name="absent"/> only when the key is missing altogether.</summary>
    public double? DoubleOrNull(string key, double? absent = null) => Find(key) is not null ? Double(key) : IsNull(key) ? null : absent;

    public IReadOnlyList<double> Doubles(string key) =>
        List(key, JsonValueKind.Number, "a list of numbers", item => item.GetDouble());

    /// <summary>The whole object as it is written, on one line, for messages.</summary>
    public string Raw() => string.Join(' ', root.GetRawText().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    /// <summary>The value of a key as it is written, on one line, for messages.</summary>
    public string Raw(string key) =>
        root.TryGetProperty(key, out var value) ? new ConfigReader(path, value).Raw() : "absent";

    /// <summary>Whether the key is present with the value null.</summary>
    public bool IsNull(string key) => root.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Null;

    /// <summary>Accepts keys of a family that do not affect the forward pass.</summary>
    public void Ignore(params ReadOnlySpan<string> keys)
    {
        foreach (var key in keys) _read.Add(key);
    }

    public bool Bool(string key, bool missing) => Find(key) switch
    {
        null => missing,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { } value => throw WrongType(key, value, "true or false"),
    };

    /// <summary>A nested object with a reader of its own; call its <see cref="RefuseUnknownKeys"/> too.</summary>
    public ConfigReader? Object(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } value => new ConfigReader($"{path} ({key})", value),
        { } value => throw WrongType(key, value, "an object"),
    };

    /// <summary>Refuses any number but the neutral one, for a key whose other values would change the logits.</summary>
    public void RequireNeutral(string key, double neutral)
    {
        var value = Double(key, neutral);
        if (value == neutral) return;
        var only = string.Create(CultureInfo.InvariantCulture, $"only {neutral} is supported");
        throw Unsupported(key, value.ToString(CultureInfo.InvariantCulture), only);
    }

    public void RefuseUnknownKeys()
    {
        foreach (var property in root.EnumerateObject())
        {
            if (_read.Contains(property.Name) || Harmless.Contains(property.Name)) continue;
            if (property.Value.ValueKind is JsonValueKind.Null or JsonValueKind.False) continue;
            throw new UnsupportedCheckpointException(
                $"{path}: the key \"{property.Name}\" is not known, and ignoring it could change the model's output. "
                    + "Remove it if it is only a note; otherwise this model is not supported."
            );
        }
    }

    public UnsupportedCheckpointException Unsupported(string key, string value, string reason) =>
        new($"{path}: \"{key}\" is {value}; {reason}.");

    private UnsupportedCheckpointException Missing(string key) =>
        new($"{path}: the key \"{key}\" is missing. Restore the file from the original checkpoint.");

    private UnsupportedCheckpointException WrongType(string key, JsonElement value, string expected) =>
        new($"{path}: \"{key}\" is {value.GetRawText()}; expected {expected}.");

    private IReadOnlyList<T> List<T>(string key, JsonValueKind kind, string expected, Func<JsonElement, T> read) => Find(key) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Array } value =>
            [.. value.EnumerateArray().Select(item => item.ValueKind == kind ? read(item) : throw WrongType(key, item, expected))],
        { } value => throw WrongType(key, value, expected),
    };

    private int ToInt(string key, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number)
            ? number
            : throw WrongType(key, value, "a whole number");

    private JsonElement? Find(string key)
    {
        _read.Add(key);
        return root.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }
}
