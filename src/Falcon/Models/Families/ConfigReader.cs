using System.Globalization;
using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Models.Families;

/// <summary>Reads the keys of a <c>config.json</c> and remembers which were read, so that the rest can be refused by name.</summary>
internal sealed class ConfigReader(string path, JsonElement root)
{
    // Keys that say nothing about the forward pass of a decoder-only model: provenance, generation defaults, training-time settings.
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

    public string String(string key, string? missing = null) =>
        StringOrNull(key)
        ?? missing
        ?? throw new UnsupportedCheckpointException(
            $"{path}: the key \"{key}\" is missing. Restore the file from the original checkpoint."
        );

    public string? StringOrNull(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } value => value.GetString(),
        { } value => throw WrongType(key, value, "a string"),
    };

    public IReadOnlyList<string> Strings(string key) =>
        Find(key) switch
        {
            null => [],
            { ValueKind: JsonValueKind.Array } value =>
            [
                .. value
                    .EnumerateArray()
                    .Select(item =>
                        item.ValueKind == JsonValueKind.String ? item.GetString()! : throw WrongType(key, item, "a list of strings")
                    ),
            ],
            { } value => throw WrongType(key, value, "a list of strings"),
        };

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

    public int PositiveInt(string key, int? missing = null) =>
        PositiveIntOrNull(key)
        ?? missing
        ?? throw new UnsupportedCheckpointException(
            $"{path}: the key \"{key}\" is missing. Restore the file from the original checkpoint."
        );

    public double Double(string key, double? missing = null) =>
        Find(key) switch
        {
            null => missing
                ?? throw new UnsupportedCheckpointException(
                    $"{path}: the key \"{key}\" is missing. Restore the file from the original checkpoint."
                ),
            { ValueKind: JsonValueKind.Number } value => value.GetDouble(),
            { } value => throw WrongType(key, value, "a number"),
        };

    /// <summary>A number or null, as written; <paramref name="absent"/> only where the key is not there at all.</summary>
    public double? DoubleOrNull(string key, double? absent = null) => Find(key) is not null ? Double(key) : IsNull(key) ? null : absent;

    public IReadOnlyList<double> Doubles(string key) =>
        Find(key) switch
        {
            null => [],
            { ValueKind: JsonValueKind.Array } value =>
            [
                .. value
                    .EnumerateArray()
                    .Select(item =>
                        item.ValueKind == JsonValueKind.Number ? item.GetDouble() : throw WrongType(key, item, "a list of numbers")
                    ),
            ],
            { } value => throw WrongType(key, value, "a list of numbers"),
        };

    /// <summary>Whether the key is there and its value is null.</summary>
    public bool IsNull(string key) => root.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Null;

    /// <summary>Passes over keys of a family that change nothing here.</summary>
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

    /// <summary>A nested object as a reader of its own, which must be asked to refuse its unknown keys.</summary>
    public ConfigReader? Object(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } value => new ConfigReader($"{path} ({key})", value),
        { } value => throw WrongType(key, value, "an object"),
    };

    /// <summary>Refuses a number other than the neutral one, for a key whose other values would change the arithmetic.</summary>
    public void RequireOneOf(string key, double neutral)
    {
        var value = Double(key, neutral);
        if (value != neutral)
            throw Unsupported(
                key,
                value.ToString(CultureInfo.InvariantCulture),
                $"only {neutral.ToString(CultureInfo.InvariantCulture)} is supported"
            );
    }

    public void RefuseUnknownKeys()
    {
        foreach (var property in root.EnumerateObject())
            if (
                !_read.Contains(property.Name)
                && !Harmless.Contains(property.Name)
                && property.Value.ValueKind is not (JsonValueKind.Null or JsonValueKind.False)
            )
                throw new UnsupportedCheckpointException(
                    $"{path}: the key \"{property.Name}\" is not known, and ignoring it could change the model's output. Remove it if it "
                        + $"is a note; otherwise this model is not supported."
                );
    }

    public UnsupportedCheckpointException Unsupported(string key, string value, string reason) =>
        new($"{path}: \"{key}\" is {value}; {reason}.");

    private UnsupportedCheckpointException WrongType(string key, JsonElement value, string expected) =>
        new($"{path}: \"{key}\" is {value.GetRawText()}; expected {expected}.");

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
