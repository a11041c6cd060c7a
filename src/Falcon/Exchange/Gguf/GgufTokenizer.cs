using System.Globalization;
using System.Text.Json.Nodes;
using Falcon.Checkpoints.Gguf;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// The tokenizer that the metadata of a GGUF file describes, as tokenizer.json and tokenizer_config.json. Byte-level vocabularies come with
/// their merges and the name of their pre-tokenizer; SentencePiece vocabularies with scores, from which the merges follow.
/// </summary>
internal sealed class GgufTokenizer
{
    private const string Words =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}@| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    private readonly string _path;
    private readonly GgufMetadata _metadata;
    private readonly string[] _tokens;
    private readonly SentencePieceType[] _types; // ggml has SentencePiece's numbers
    private readonly Dictionary<string, int> _ids;

    public GgufTokenizer(GgufFile file)
    {
        (_path, _metadata) = (file.Path, file.Metadata);
        _tokens = _metadata.Texts("tokenizer.ggml.tokens");
        var types = _metadata.Has("tokenizer.ggml.token_type") ? _metadata.Integers("tokenizer.ggml.token_type") : new long[_tokens.Length];
        if (types.Length != _tokens.Length)
            throw _metadata.Wrong("tokenizer.ggml.token_type", $"a list of {_tokens.Length} types, one a token");
        if (types.FirstOrDefault(type => type is < 0 or > 6) is var wrong and not 0)
            throw Refused($"tokenizer.ggml.token_type has the unknown type {wrong}");
        _types = [.. types.Select(type => type == 0 ? SentencePieceType.Normal : (SentencePieceType)type)];
        _ids = [];
        for (var id = 0; id < _tokens.Length; id++)
            if (!_ids.TryAdd(_tokens[id], id))
                throw Refused($"tokenizer.ggml.tokens has the token '{_tokens[id]}' twice");
    }

    /// <summary>Number of tokens.</summary>
    public int Count => _tokens.Length;

    /// <summary>A special token's id, such as that of <c>eos</c>; null where the file names none.</summary>
    public int? Special(string name)
    {
        var key = $"tokenizer.ggml.{name}_token_id";
        return _metadata.Has(key) ? _metadata.Integer(key, 0, _tokens.Length - 1) : null;
    }

    /// <summary>The content of tokenizer.json.</summary>
    /// <exception cref="UnsupportedCheckpointException">The tokenizer is of a kind that is not read, or does not fit together.</exception>
    public JsonObject Tokenizer() =>
        _metadata.Text("tokenizer.ggml.model") switch
        {
            "gpt2" => ByteLevel(),
            "llama" => SentencePiece(),
            _ => throw _metadata.Wrong("tokenizer.ggml.model", "gpt2 (byte-level) or llama (SentencePiece)"),
        };

    /// <summary>The content of tokenizer_config.json.</summary>
    /// <param name="positions">Longest sequence.</param>
    public JsonObject Configuration(int positions)
    {
        var config = new JsonObject
        {
            ["tokenizer_class"] = "PreTrainedTokenizerFast",
            ["model_max_length"] = positions,
            ["clean_up_tokenization_spaces"] = false,
        };
        foreach (
            var (name, key) in new[] { ("bos", "bos_token"), ("eos", "eos_token"), ("padding", "pad_token"), ("unknown", "unk_token") }
        )
            if (Special(name) is { } id)
                config[key] = _tokens[id];
        if (_metadata.Has("tokenizer.chat_template"))
            config["chat_template"] = _metadata.Text("tokenizer.chat_template");
        return config;
    }

    private JsonObject ByteLevel()
    {
        var name = _metadata.Text("tokenizer.ggml.pre");
        var (split, ignoresMerges, addsBegin) = name switch
        {
            "gpt-2" => (null, false, false),
            "smollm" => (new JsonObject { ["type"] = "Digits", ["individual_digits"] = true }, false, false),
            "llama-bpe" or "llama3" or "llama-v3" => (Split(Words.Replace("@", "{1,3}", StringComparison.Ordinal)), true, true),
            "qwen2" => (Split(Words.Replace("@", "", StringComparison.Ordinal)), false, false),
            _ => throw _metadata.Wrong("tokenizer.ggml.pre", "one of gpt-2, smollm, llama-bpe, qwen2; other pre-tokenizers are not read"),
        };
        var bytes = new JsonObject
        {
            ["type"] = "ByteLevel",
            ["add_prefix_space"] = false,
            ["trim_offsets"] = true,
            ["use_regex"] = name is "gpt-2" or "smollm",
        };
        return Whole(
            Merges(),
            name == "qwen2" ? new JsonObject { ["type"] = "NFC" } : null,
            split is null ? bytes : new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray(split, bytes) },
            new JsonObject
            {
                ["type"] = "ByteLevel",
                ["add_prefix_space"] = true,
                ["trim_offsets"] = true,
                ["use_regex"] = true,
            },
            addsBegin,
            byteFallback: false,
            ignoresMerges
        );
    }

    private JsonObject SentencePiece()
    {
        var begins = _metadata.Flag("tokenizer.ggml.add_space_prefix", true);
        return Whole(
            MergesOfScores(),
            SentencePieceConversion.Normalizer(begins),
            preTokenizer: null,
            SentencePieceConversion.Decoder(begins),
            addsBegin: true,
            byteFallback: true,
            ignoresMerges: false
        );
    }

    private JsonObject Whole(
        JsonArray merges,
        JsonObject? normalizer,
        JsonObject? preTokenizer,
        JsonObject decoder,
        bool addsBegin,
        bool byteFallback,
        bool ignoresMerges
    )
    {
        if (_metadata.Flag("tokenizer.ggml.add_eos_token", false))
            throw _metadata.Wrong("tokenizer.ggml.add_eos_token", "false; an end token behind every text is not supported");
        var last = _tokens.Length;
        while (last > 0 && _types[last - 1] == SentencePieceType.Unused && _tokens[last - 1] == $"[PAD{last - 1}]")
            last--;
        var vocabulary = new JsonObject();
        for (var id = 0; id < last; id++)
            vocabulary[_tokens[id]] = id;
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([
                .. Enumerable
                    .Range(0, last)
                    .Where(id => _types[id] is SentencePieceType.Control or SentencePieceType.UserDefined)
                    .Select(Added),
            ]),
            ["normalizer"] = normalizer,
            ["pre_tokenizer"] = preTokenizer,
            ["post_processor"] = _metadata.Flag("tokenizer.ggml.add_bos_token", addsBegin) ? BeginToken() : null,
            ["decoder"] = decoder,
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = byteFallback && Special("unknown") is { } unknown ? _tokens[unknown] : null,
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = byteFallback,
                ["byte_fallback"] = byteFallback,
                ["ignore_merges"] = ignoresMerges,
                ["vocab"] = vocabulary,
                ["merges"] = merges,
            },
        };
    }

    private JsonNode Added(int id) =>
        new JsonObject
        {
            ["id"] = id,
            ["content"] = _tokens[id],
            ["single_word"] = false,
            ["lstrip"] = false,
            ["rstrip"] = false,
            ["normalized"] = false,
            ["special"] = _types[id] == SentencePieceType.Control,
        };

    private JsonObject BeginToken()
    {
        var id = Special("bos")
            ?? throw Refused("tokenizer.ggml.bos_token_id is missing, and texts begin with it (tokenizer.ggml.add_bos_token)");
        JsonObject Begin(int type) =>
            new()
            {
                ["SpecialToken"] = new JsonObject { ["id"] = _tokens[id], ["type_id"] = type },
            };
        JsonObject Text(string name, int type) =>
            new()
            {
                ["Sequence"] = new JsonObject { ["id"] = name, ["type_id"] = type },
            };
        return new JsonObject
        {
            ["type"] = "TemplateProcessing",
            ["single"] = new JsonArray(Begin(0), Text("A", 0)),
            ["pair"] = new JsonArray(Begin(0), Text("A", 0), Begin(1), Text("B", 1)),
            ["special_tokens"] = new JsonObject
            {
                [_tokens[id]] = new JsonObject
                {
                    ["id"] = _tokens[id],
                    ["ids"] = new JsonArray(id),
                    ["tokens"] = new JsonArray(_tokens[id]),
                },
            },
        };
    }

    private JsonArray Merges()
    {
        JsonArray merges = [];
        foreach (var merge in _metadata.Texts("tokenizer.ggml.merges"))
        {
            var pieces = merge.Split(' ');
            if (pieces.Length != 2 || pieces.Any(piece => piece.Length == 0))
                throw Refused($"tokenizer.ggml.merges has '{merge}', which is not two pieces with a space between");
            var missing = pieces.Append(pieces[0] + pieces[1]).FirstOrDefault(piece => !_ids.ContainsKey(piece));
            if (missing is not null)
                throw Refused($"tokenizer.ggml.merges has '{merge}', but '{missing}' is no token");
            merges.Add(new JsonArray(pieces[0], pieces[1]));
        }

        return merges;
    }

    // Where a converter lost the scores, all are equal, and the order of the vocabulary stands for them.
    private JsonArray MergesOfScores()
    {
        var scores = _metadata.Numbers("tokenizer.ggml.scores");
        if (scores.Length != _tokens.Length)
            throw _metadata.Wrong("tokenizer.ggml.scores", $"a list of {_tokens.Length} numbers, one a token");
        var isLost = scores.Where((_, id) => _types[id] == SentencePieceType.Normal).Distinct().Count() == 1;
        SentencePiece[] pieces = [.. _tokens.Select((text, id) => new SentencePiece(text, isLost ? -id : (float)scores[id], _types[id]))];
        return [.. SentencePieceConversion.Merges(pieces).Select(pair => (JsonNode)new JsonArray(pair.Left, pair.Right))];
    }

    private static JsonObject Split(string pattern) =>
        new()
        {
            ["type"] = "Split",
            ["pattern"] = new JsonObject { ["Regex"] = pattern },
            ["behavior"] = "Isolated",
            ["invert"] = false,
        };

    private UnsupportedCheckpointException Refused(string reason) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{_path}: {reason}. Take another file of the model."));
}
