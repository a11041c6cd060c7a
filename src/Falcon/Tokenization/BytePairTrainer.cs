using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Falcon.Tokenization;

/// <summary>Trains a byte-level BPE tokenizer like GPT-2's and writes its files.</summary>
/// <remarks>
/// Words are split by GPT-2's pattern and written in the byte-level alphabet. The most frequent pair of adjacent tokens becomes a new
/// token, repeatedly. Ties are broken by the smaller id of the left token, then of the right token, so that the result depends only on the
/// multiset of texts. Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", 2016, algorithm 1.
/// </remarks>
public static class BytePairTrainer
{
    private static readonly JsonSerializerOptions Layout = new()
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Trains on texts and returns the content of <c>tokenizer.json</c>.</summary>
    /// <param name="texts">The texts; special tokens written in them count as ordinary text.</param>
    /// <param name="vocabularySize">
    /// Number of tokens: the special tokens, the 256 bytes, and one for each merge. There are fewer if no pair is left to merge.
    /// </param>
    /// <param name="specialTokens">The special tokens, which get the ids 0, 1, ... in this order.</param>
    /// <exception cref="ArgumentException">
    /// <paramref name="vocabularySize"/> is too small for the bytes and the special tokens, or a special token is empty, given twice, or a
    /// character of the byte alphabet.
    /// </exception>
    public static string Train(IEnumerable<string> texts, int vocabularySize, IReadOnlyList<string> specialTokens)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(specialTokens);
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabularySize, 256 + specialTokens.Count);

        var vocabulary = new List<string>();
        vocabulary.AddRange(specialTokens);
        vocabulary.AddRange(
            Enumerable
                .Range(0, 256)
                .Select(value => ByteLevelAlphabet.CharacterOf((byte)value))
                .Order()
                .Select(character => character.ToString())
        );
        var ids = new Dictionary<string, int>();
        foreach (var token in vocabulary)
            if (token.Length == 0 || !ids.TryAdd(token, ids.Count))
                throw new ArgumentException(
                    $"The special token '{token}' is empty, given twice, or a character of the byte alphabet.",
                    nameof(specialTokens)
                );

        var counts = new PairCounts(
            CountWords(texts).Select(word => (Array.ConvertAll(word.Key.ToCharArray(), character => ids[character.ToString()]), word.Value))
        );
        var merges = new List<(string Left, string Right)>();
        while (vocabulary.Count < vocabularySize && counts.TakeMostFrequent() is var (left, right))
        {
            var merged = vocabulary[left] + vocabulary[right];
            if (ids.TryAdd(merged, vocabulary.Count)) vocabulary.Add(merged);
            merges.Add((vocabulary[left], vocabulary[right]));
            counts.Merge(left, right, ids[merged]);
        }
        return Describe(vocabulary, merges, specialTokens).ToJsonString(Layout) + "\n";
    }

    /// <summary>The content of <c>tokenizer_config.json</c> for a tokenizer made by <see cref="Train"/>.</summary>
    /// <param name="eosToken">The end-of-text token.</param>
    /// <param name="bosToken">
    /// The beginning-of-text token, if any. <see cref="Train"/> writes no post-processing template, so encoding does not add it.
    /// </param>
    /// <param name="padToken">The padding token, if any.</param>
    /// <param name="modelMaxLength">The longest text of the model, in tokens.</param>
    /// <param name="chatTemplate">The chat template (Jinja), if any.</param>
    public static string Configuration(
        string eosToken,
        string? bosToken = null,
        string? padToken = null,
        int? modelMaxLength = null,
        string? chatTemplate = null
    )
    {
        var configuration = new JsonObject { ["tokenizer_class"] = "PreTrainedTokenizerFast" };
        if (bosToken is not null) configuration["bos_token"] = bosToken;
        configuration["eos_token"] = eosToken;
        if (padToken is not null) configuration["pad_token"] = padToken;
        if (modelMaxLength is not null) configuration["model_max_length"] = modelMaxLength;
        configuration["clean_up_tokenization_spaces"] = false;
        if (chatTemplate is not null) configuration["chat_template"] = chatTemplate;
        return configuration.ToJsonString(Layout) + "\n";
    }

    private static Dictionary<string, long> CountWords(IEnumerable<string> texts)
    {
        var split = PreTokenizers.ByteLevel(addPrefixSpace: false, useRegex: true);
        var counts = new Dictionary<string, long>();
        var words = new List<Piece>();
        foreach (var text in texts)
        {
            words.Clear();
            split(new(text, AtStart: true), words);
            foreach (var word in words) counts[word.Text] = counts.GetValueOrDefault(word.Text) + 1;
        }
        return counts;
    }

    private static JsonObject Describe(
        List<string> vocabulary,
        List<(string Left, string Right)> merges,
        IReadOnlyList<string> specialTokens
    ) =>
        new()
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([
                .. specialTokens.Select(
                    (content, id) =>
                        new JsonObject
                        {
                            ["id"] = id,
                            ["content"] = content,
                            ["single_word"] = false,
                            ["lstrip"] = false,
                            ["rstrip"] = false,
                            ["normalized"] = false,
                            ["special"] = true,
                        }
                ),
            ]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = ByteLevel(),
            ["post_processor"] = ByteLevel(),
            ["decoder"] = ByteLevel(),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = null,
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false,
                ["byte_fallback"] = false,
                ["ignore_merges"] = false,
                ["vocab"] = new JsonObject(vocabulary.Select((token, id) => KeyValuePair.Create(token, (JsonNode?)id))),
                ["merges"] = new JsonArray([.. merges.Select(merge => JsonValue.Create($"{merge.Left} {merge.Right}"))]),
            },
        };

    private static JsonObject ByteLevel() =>
        new()
        {
            ["type"] = "ByteLevel",
            ["add_prefix_space"] = false,
            ["trim_offsets"] = true,
            ["use_regex"] = true,
        };
}
