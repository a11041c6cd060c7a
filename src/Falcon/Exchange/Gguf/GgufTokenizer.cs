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
    private static readonly string[] EndTexts =
    [
        "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>",
    ];

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

    /// <summary>
    /// The tokens that end what a model writes: the end token, and control tokens with a text that llama.cpp ends at whatever the file's
    /// ids say, so that the imported model stops where the runner does.
    /// </summary>
    public IReadOnlyList<int> EndTokens() =>
        [
            .. new[] { Special("eos"), Special("eot") }
                .OfType<int>()
                .Concat(EndTexts.Where(_ids.ContainsKey).Select(text => _ids[text]).Where(id => _types[id] == SentencePieceType.Control))
                .Distinct(),
        ];

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
        var splitting = TextSplitting.Named(_metadata.Text("tokenizer.ggml.pre"))
            ?? throw _metadata.Wrong(
                "tokenizer.ggml.pre",
                $"one of {string.Join(", ", TextSplitting.All.Select(one => one.Name))}; other pre-tokenizers are not read"
            );
        return Whole(
            Merges(),
            splitting.Composes ? new JsonObject { ["type"] = "NFC" } : null,
            splitting.PreTokenizer(),
            new JsonObject
            {
                ["type"] = "ByteLevel",
                ["add_prefix_space"] = true,
                ["trim_offsets"] = true,
                ["use_regex"] = true,
            },
            splitting.AddsBegin,
            byteFallback: false,
            splitting.IgnoresMerges
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
            ["post_processor"] = Around(
                _metadata.Flag("tokenizer.ggml.add_bos_token", addsBegin) ? "bos" : null,
                _metadata.Flag("tokenizer.ggml.add_eos_token", false) ? "eos" : null
            ),
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
            ["rstrip"] = StripsRight(id),
            ["normalized"] = false,
            ["special"] = _types[id] == SentencePieceType.Control,
        };

    // The published Phi-3 tokenizers do, and models whose name says so; the metadata have no key for it.
    private bool StripsRight(int id) =>
        (
            _ids.ContainsKey("<|placeholder1|>")
            || (_metadata.Has("general.name") && _metadata.Text("general.name").EndsWith(GgufExport.StripsRight, StringComparison.Ordinal))
        )
        && (_types[id] == SentencePieceType.Control || _tokens[id] == "</s>")
        && _tokens[id] is not ("<unk>" or "<s>" or "<|endoftext|>");

    // The tokens before and after every text.
    private JsonObject? Around(string? begin, string? end)
    {
        if (begin is null && end is null)
            return null;
        var special = new JsonObject();
        JsonArray Template(params (string Text, int Type)[] texts)
        {
            JsonArray parts = [];
            foreach (var (text, type) in texts)
            {
                if (begin is not null)
                    parts.Add(Token(begin, type));
                parts.Add(
                    new JsonObject
                    {
                        ["Sequence"] = new JsonObject { ["id"] = text, ["type_id"] = type },
                    }
                );
                if (end is not null)
                    parts.Add(Token(end, type));
            }

            return parts;
        }

        JsonObject Token(string name, int type)
        {
            var id = Special(name)
                ?? throw Refused($"tokenizer.ggml.{name}_token_id is missing, and texts have that token (tokenizer.ggml.add_{name}_token)");
            special[_tokens[id]] = new JsonObject
            {
                ["id"] = _tokens[id],
                ["ids"] = new JsonArray(id),
                ["tokens"] = new JsonArray(_tokens[id]),
            };
            return new JsonObject
            {
                ["SpecialToken"] = new JsonObject { ["id"] = _tokens[id], ["type_id"] = type },
            };
        }

        return new JsonObject
        {
            ["type"] = "TemplateProcessing",
            ["single"] = Template(("A", 0)),
            ["pair"] = Template(("A", 0), ("B", 1)),
            ["special_tokens"] = special,
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

    private UnsupportedCheckpointException Refused(string reason) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{_path}: {reason}. Take another file of the model."));
}
