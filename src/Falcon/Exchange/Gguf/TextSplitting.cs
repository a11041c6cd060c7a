using System.Text.Json;
using System.Text.Json.Nodes;
using Falcon.Tokenization;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// A way of llama.cpp to split a text into words before byte pairs are merged, under the name that <c>tokenizer.ggml.pre</c> gives it.
/// Source of names and patterns: llama.cpp's runner and the published tokenizers that it was made for.
/// </summary>
/// <param name="Name">The name that is written.</param>
/// <param name="OtherNames">Names of the same splitting that are read too.</param>
/// <param name="Before">Splits before the byte-level step; null for none.</param>
/// <param name="UsesGpt2Pattern">Whether the byte-level step splits by GPT-2's pattern.</param>
/// <param name="IgnoresMerges">Whether a word that is a token is taken whole.</param>
/// <param name="AddsBegin">Whether the begin token is added where the file does not say.</param>
/// <param name="Composes">Whether the tokenizers of this splitting compose characters (NFC), which llama.cpp leaves out.</param>
internal sealed record TextSplitting(
    string Name,
    string[] OtherNames,
    string? Before,
    bool UsesGpt2Pattern,
    bool IgnoresMerges = false,
    bool AddsBegin = false,
    bool Composes = false
)
{
    private const string Digits = "digits";

    /// <summary>Those that are known here.</summary>
    public static IReadOnlyList<TextSplitting> All { get; } =
    [
        new("gpt-2", ["olmo", "mpt", "phi-2", "jais"], null, UsesGpt2Pattern: true),
        new("smollm", ["starcoder", "refact", "command-r", "codeshell", "exaone"], Digits, UsesGpt2Pattern: true),
        new("llama-bpe", ["llama3", "llama-v3", "falcon3"], Words("{1,3}"), UsesGpt2Pattern: false, IgnoresMerges: true, AddsBegin: true),
        new("dbrx", ["smaug-bpe"], Words("{1,3}"), UsesGpt2Pattern: false),
        new("qwen2", ["deepseek-r1-qwen", "stablelm2"], Words(""), UsesGpt2Pattern: false, Composes: true),
        new("qwen35", [], Words("", "\\p{M}"), UsesGpt2Pattern: false, Composes: true),
    ];

    /// <summary>The splitting of a name; null for an unknown one.</summary>
    public static TextSplitting? Named(string name) => All.FirstOrDefault(one => one.Name == name || one.OtherNames.Contains(name));

    /// <summary>The <c>pre_tokenizer</c> of a tokenizer.json that does it.</summary>
    public JsonObject PreTokenizer()
    {
        var bytes = new JsonObject
        {
            ["type"] = "ByteLevel",
            ["add_prefix_space"] = false,
            ["trim_offsets"] = true,
            ["use_regex"] = UsesGpt2Pattern,
        };
        JsonObject? before = Before switch
        {
            null => null,
            Digits => new JsonObject { ["type"] = "Digits", ["individual_digits"] = true },
            _ => new JsonObject
            {
                ["type"] = "Split",
                ["pattern"] = new JsonObject { ["Regex"] = Before },
                ["behavior"] = "Isolated",
                ["invert"] = false,
            },
        };
        return before is null ? bytes : new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray(before, bytes) };
    }

    /// <summary>Those that split every test text as a pre-tokenizer does.</summary>
    /// <param name="actual">The <c>pre_tokenizer</c> of a tokenizer.json.</param>
    public static IReadOnlyList<TextSplitting> Like(TokenizerSection actual)
    {
        var wanted = PreTokenizers.Read(actual);
        var texts = TestTexts().ToList();
        var words = texts.ConvertAll(text => Split(wanted, text));
        return
        [
            .. All.Where(one =>
            {
                var split = PreTokenizers.Read(new TokenizerSection(JsonSerializer.SerializeToElement(one.PreTokenizer()), one.Name, ""));
                return texts.Index().All(text => Split(split, text.Item) == words[text.Index]);
            }),
        ];
    }

    private static string Split(PreTokenizer split, string text)
    {
        List<Piece> words = [];
        split(new Piece(text, AtStart: true), words);
        return string.Join('\0', words.Select(word => word.Text));
    }

    private static string Words(string digits, string marks = "")
    {
        var letters = marks.Length == 0 ? "\\p{L}" : $"[\\p{{L}}{marks}]";
        return "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?"
            + $"{letters}+|\\p{{N}}{digits}| ?[^\\s\\p{{L}}{marks}\\p{{N}}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    }

    // Every three of the characters that patterns tell apart, and runs, contractions and ordinary lines.
    private static IEnumerable<string> TestTexts()
    {
        string[] characters =
        [
            "a",
            "B",
            "é",
            "É",
            "ſ",
            "日",
            "の",
            "ก",
            "\u0301",
            "ʰ",
            "ǅ",
            "1",
            "٣",
            "²",
            "Ⅷ",
            "'",
            "’",
            ".",
            "-",
            "_",
            "/",
            "$",
            "€",
            "<",
            "😀",
            " ",
            "\u00A0",
            "\u3000",
            "\t",
            "\n",
            "\r",
            "\u200B",
            "\u0004",
        ];
        foreach (var first in characters)
            foreach (var second in characters)
                foreach (var third in characters)
                    yield return first + second + third;
        foreach (var character in characters)
            for (var length = 4; length < 12; length++)
                yield return "x" + string.Concat(Enumerable.Repeat(character, length)) + "y";
        foreach (var end in new[] { "s", "t", "re", "ve", "m", "ll", "d", "S", "T", "RE", "Ve", "M", "lL", "D", "x", "ſ" })
            foreach (var before in new[] { "it", "IT ", "9", "" })
                yield return $"{before}'{end}{before}";
        yield return "In 1984, 12345678 people (3,456.7 of them) paid $1,000 -- isn't it?\r\n\r\n";
        yield return "  for (int i = 0; i < 10; ++i) {\n\t\tx[i]++;\n}\n";
        yield return "HELLO World helloWorld camelCase snake_case http://example.org/?a=b&c=d  naïve café — 日本語 テスト  العربية ١٢٣ हिन्दी";
        yield return "   leading and trailing   \n \n  \t mixed \u00A0 spaces ...!!! ??? <|x|> ### `code` **bold** #1 @2";
    }
}
