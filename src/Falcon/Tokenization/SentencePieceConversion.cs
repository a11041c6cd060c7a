using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Falcon.Tokenization;

/// <summary>
/// Converts a <c>tokenizer.model</c> into the tokenizer.json that the Hugging Face library would write for it, so that one tokenizer serves
/// both. SentencePiece merges the adjacent pair whose joint piece has the highest score, leftmost first. The equivalent merges are all
/// splits of a piece into two others, by descending score.
/// </summary>
internal static class SentencePieceConversion
{
    private const string Space = "▁";

    /// <summary>The equivalent tokenizer.json.</summary>
    /// <param name="model">The SentencePiece model.</param>
    /// <param name="configuration">
    /// tokenizer_config.json: <c>add_bos_token</c>, <c>add_eos_token</c>, <c>legacy</c>, <c>added_tokens_decoder</c>, names of special
    /// tokens.
    /// </param>
    public static JsonElement ToTokenizerJson(SentencePieceModel model, TokenizerSection configuration)
    {
        var vocabulary = new JsonObject();
        foreach (var (id, piece) in model.Pieces.Index()) vocabulary.Add(piece.Text, id);
        var unknown = model.Pieces.FirstOrDefault(piece => piece.Type == SentencePieceType.Unknown).Text;
        var isFirstOnly = model.AddsDummyPrefix && !configuration["legacy"].Flag(true);
        var root = new JsonObject
        {
            ["added_tokens"] = AddedTokens(model, configuration),
            ["normalizer"] = isFirstOnly ? null : Normalizer(model.AddsDummyPrefix),
            ["pre_tokenizer"] = isFirstOnly
                ? new JsonObject
                {
                    ["type"] = "Metaspace",
                    ["replacement"] = Space,
                    ["prepend_scheme"] = "first",
                    ["split"] = false,
                }
                : null,
            ["post_processor"] = Template(model, configuration),
            ["decoder"] = Decoder(model.AddsDummyPrefix),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["unk_token"] = unknown,
                ["fuse_unk"] = true,
                ["byte_fallback"] = model.ByteFallback,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. Merges(model.Pieces).Select(pair => (JsonNode)new JsonArray(pair.Left, pair.Right))]),
            },
        };
        return JsonSerializer.SerializeToElement(root);
    }

    /// <summary>
    /// The usual control piece that begins or ends a text if no file names one: <c>&lt;s&gt;</c> and <c>&lt;/s&gt;</c>, or Gemma's.
    /// </summary>
    public static string? UsualToken(SentencePieceModel model, string name)
    {
        string[] usual = name switch
        {
            "bos_token" => ["<s>", "<bos>"],
            "eos_token" => ["</s>", "<eos>"],
            "unk_token" => ["<unk>"],
            _ => [],
        };
        return model
            .Pieces.Where(piece => piece.Type is SentencePieceType.Control or SentencePieceType.Unknown && usual.Contains(piece.Text))
            .Select(piece => piece.Text)
            .FirstOrDefault();
    }

    /// <summary>All splits of a piece into two others, by descending score, then longer left part first.</summary>
    public static IEnumerable<(string Left, string Right)> Merges(IReadOnlyList<SentencePiece> pieces)
    {
        var ids = pieces.Index().Where(item => IsText(item.Item)).ToDictionary(item => item.Item.Text, item => item.Index);
        List<(string Left, string Right, float Score)> merges = [];
        foreach (var piece in pieces.Where(IsText))
        {
            int[] starts = [.. CodePointStarts(piece.Text)];
            merges.AddRange(
                starts
                    .Select(at => (Left: piece.Text[..at], Right: piece.Text[at..], piece.Score))
                    .Where(split => ids.ContainsKey(split.Left) && ids.ContainsKey(split.Right))
                    .OrderBy(split => ids[split.Left])
                    .ThenBy(split => ids[split.Right])
            );
        }

        return merges
            .OrderByDescending(merge => merge.Score)
            .ThenByDescending(merge => Length(merge.Left))
            .ThenByDescending(merge => Length(merge.Right))
            .Select(merge => (merge.Left, merge.Right));
    }

    private static bool IsText(SentencePiece piece) =>
        piece.Type is SentencePieceType.Normal or SentencePieceType.UserDefined or SentencePieceType.Unused;

    private static int Length(string text) => text.EnumerateRunes().Count();

    // The positions of all code points but the first.
    private static IEnumerable<int> CodePointStarts(string text)
    {
        for (var at = 1; at < text.Length; at++)
            if (!char.IsLowSurrogate(text[at])) yield return at;
    }

    /// <summary>The normalizer: spaces as ▁, and one before every text where it begins with a space.</summary>
    public static JsonObject Normalizer(bool prefix)
    {
        var replace = new JsonObject
        {
            ["type"] = "Replace",
            ["pattern"] = new JsonObject { ["String"] = " " },
            ["content"] = Space,
        };
        return prefix
            ? new JsonObject
            {
                ["type"] = "Sequence",
                ["normalizers"] = new JsonArray(new JsonObject { ["type"] = "Prepend", ["prepend"] = Space }, replace),
            }
            : replace;
    }

    /// <summary>The decoder that undoes <see cref="Normalizer"/> and joins bytes.</summary>
    public static JsonObject Decoder(bool prefix)
    {
        JsonArray steps =
        [
            new JsonObject
            {
                ["type"] = "Replace",
                ["pattern"] = new JsonObject { ["String"] = Space },
                ["content"] = " ",
            },
            new JsonObject { ["type"] = "ByteFallback" },
            new JsonObject { ["type"] = "Fuse" },
        ];
        if (prefix)
            steps.Add(
                new JsonObject
                {
                    ["type"] = "Strip",
                    ["content"] = " ",
                    ["start"] = 1,
                    ["stop"] = 0,
                }
            );
        return new JsonObject { ["type"] = "Sequence", ["decoders"] = steps };
    }

    // Control pieces and the unknown piece are special; tokens of tokenizer_config.json come after the vocabulary.
    private static JsonArray AddedTokens(SentencePieceModel model, TokenizerSection configuration)
    {
        SortedDictionary<int, (string Content, bool Special, bool LeftStrip, bool RightStrip, bool SingleWord, bool Normalized)> tokens =
        [];
        foreach (var (id, piece) in model.Pieces.Index())
            if (piece.Type is SentencePieceType.Unknown or SentencePieceType.Control or SentencePieceType.UserDefined)
                tokens[id] = (piece.Text, piece.Type != SentencePieceType.UserDefined, false, false, false, false);
        var added = configuration["added_tokens_decoder"];
        foreach (var (name, token) in added.IsNull ? [] : added.Members())
        {
            if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var id))
                throw added.Unsupported($"'{name}' is not an id");
            tokens[id] = (
                token["content"].Text(),
                token["special"].Flag(false),
                token["lstrip"].Flag(false),
                token["rstrip"].Flag(false),
                token["single_word"].Flag(false),
                token["normalized"].Flag(false)
            );
        }

        return [.. tokens.Select(token => new JsonObject
        {
            ["id"] = token.Key,
            ["content"] = token.Value.Content,
            ["special"] = token.Value.Special,
            ["lstrip"] = token.Value.LeftStrip,
            ["rstrip"] = token.Value.RightStrip,
            ["single_word"] = token.Value.SingleWord,
            ["normalized"] = token.Value.Normalized,
        })];
    }

    private static JsonObject Template(SentencePieceModel model, TokenizerSection configuration)
    {
        JsonArray parts = [];
        var tokens = new JsonObject();
        void Special(string key)
        {
            var section = configuration[key];
            var content =
                section.IsNull
                    ? UsualToken(model, key) ?? throw section.Unsupported("it is needed beside a tokenizer.model without <s> or <bos>")
                : section.Json.ValueKind == JsonValueKind.Object ? section["content"].Text()
                : section.Text();
            var id = model.Pieces.Index().Where(item => item.Item.Text == content).Select(item => (int?)item.Index).FirstOrDefault()
                ?? throw section.Unsupported($"the vocabulary of tokenizer.model has no '{content}'");
            parts.Add(
                new JsonObject
                {
                    ["SpecialToken"] = new JsonObject { ["id"] = content, ["type_id"] = 0 },
                }
            );
            tokens[content] = new JsonObject
            {
                ["id"] = content,
                ["ids"] = new JsonArray(id),
                ["tokens"] = new JsonArray(content),
            };
        }

        if (configuration["add_bos_token"].Flag(true)) Special("bos_token");
        parts.Add(new JsonObject { ["Sequence"] = new JsonObject { ["id"] = "A", ["type_id"] = 0 } });
        if (configuration["add_eos_token"].Flag(false)) Special("eos_token");
        return new JsonObject { ["type"] = "TemplateProcessing", ["single"] = parts, ["special_tokens"] = tokens };
    }
}
