using System.Globalization;
using System.Text;

namespace Falcon.Tokenization;

/// <summary>A token that is searched for in the text before any other step.</summary>
internal sealed record AddedToken(int Id, string Content, bool SingleWord, bool LeftStrip, bool RightStrip, bool Normalized, bool Special)
{
    /// <summary>
    /// Reads <c>added_tokens</c>, and the tokens that the side files of the directory add. As in the Hugging Face library, the id of a
    /// token is the one in the model's vocabulary, or else the next free number in the order of the file; the id that the file itself gives
    /// is not used. Where the two differ a note says so.
    /// </summary>
    /// <param name="section">The list of tokenizer.json.</param>
    /// <param name="model">The vocabulary.</param>
    /// <param name="side">Further tokens, with their flags where the file gives them; all are special.</param>
    /// <param name="notes">Receives a sentence for ids that differ from the file's.</param>
    public static List<AddedToken> ReadAll(
        TokenizerSection section,
        BytePairEncoding model,
        IEnumerable<TokenizerSection> side,
        ICollection<string> notes
    )
    {
        var tokens = new List<AddedToken>();
        var ids = new Dictionary<string, int>();
        List<string> moved = [];
        var next = model.Count;
        foreach (var item in section.IsNull ? [] : section.Items())
        {
            var content = item["content"].Text();
            if (content.Length == 0) continue;
            var id = IdOf(content);
            if (!item["id"].IsNull && item["id"].Number() != id)
                moved.Add(string.Create(CultureInfo.InvariantCulture, $"'{content}' is {id}, not {item["id"].Number()}"));
            tokens.Add(Of(item, content, id, item["special"].Flag(false)));
        }

        if (moved.Count > 0)
            notes.Add(
                $"{section.File}: {section.Key}: the ids follow from the vocabulary and the order of the list, as in the Hugging Face "
                    + $"library, not from the numbers in the file: {string.Join("; ", moved.Take(3))}"
                    + (moved.Count > 3 ? string.Create(CultureInfo.InvariantCulture, $"; and {moved.Count - 3} more") : "")
            );
        foreach (var item in side)
        {
            var content = TokenizerFiles.TokenContent(item);
            if (string.IsNullOrEmpty(content)) continue;
            var known = tokens.FindIndex(token => token.Content == content);
            if (known >= 0) tokens[known] = tokens[known] with { Special = true };
            else tokens.Add(Of(item, content, IdOf(content), special: true));
        }

        return tokens;

        int IdOf(string content)
        {
            if (ids.TryGetValue(content, out var known)) return known;
            var id = model.IdOf(content) ?? Math.Max(next, model.Count);
            ids[content] = id;
            next = Math.Max(next, id + 1);
            return id;
        }
    }

    // A token that a side file gives as a bare text has the flags of a special token.
    private static AddedToken Of(TokenizerSection item, string content, int id, bool special) =>
        new(
            id,
            content,
            item["single_word"].Flag(false),
            item["lstrip"].Flag(false),
            item["rstrip"].Flag(false),
            item["normalized"].Flag(!special || item.Json.ValueKind == System.Text.Json.JsonValueKind.Object),
            special
        );
}

/// <summary>Finds added tokens in a text from left to right, the longest first.</summary>
internal sealed class AddedTokenSearch
{
    private readonly Dictionary<string, AddedToken> _tokens = [];
    private readonly Dictionary<char, int[]> _lengths;
    private readonly System.Buffers.SearchValues<char> _firstCharacters;

    /// <param name="tokens">The tokens to find.</param>
    /// <param name="searched">The text to search for: the token's content, or its normalized content.</param>
    public AddedTokenSearch(IEnumerable<AddedToken> tokens, Func<string, string> searched)
    {
        foreach (var token in tokens.OrderByDescending(token => token.Special))
            if (searched(token.Content) is { Length: > 0 } key)
                _tokens.TryAdd(key, token);
        _lengths = _tokens
            .Keys.GroupBy(key => key[0])
            .ToDictionary(group => group.Key, group => group.Select(key => key.Length).Distinct().OrderDescending().ToArray());
        _firstCharacters = System.Buffers.SearchValues.Create([.. _lengths.Keys]);
    }

    /// <summary>Splits the text into tokens and the non-empty stretches between them (null), in order.</summary>
    public List<(int Start, int End, AddedToken? Token)> Find(string text)
    {
        var found = new List<(int Start, int End, AddedToken? Token)>();
        var covered = 0;
        var lookup = _tokens.GetAlternateLookup<ReadOnlySpan<char>>();
        for (var from = 0; from < text.Length;)
        {
            var step = text.AsSpan(from).IndexOfAny(_firstCharacters);
            if (step < 0) break;
            from += step;
            AddedToken? token = null;
            var length = 0;
            foreach (var candidate in _lengths[text[from]])
            {
                if (from + candidate > text.Length || !lookup.TryGetValue(text.AsSpan(from, candidate), out token)) continue;
                length = candidate;
                break;
            }
            if (token is null)
            {
                from++;
                continue;
            }
            var (start, end) = (from, from + length);
            from = end;
            if (token.SingleWord && (EndsWithWordCharacter(text.AsSpan(0, start)) || StartsWithWordCharacter(text.AsSpan(end)))) continue;
            if (token.LeftStrip) start = Math.Max(covered, text.AsSpan(0, start).TrimEnd().Length);
            if (token.RightStrip) end = text.Length - text.AsSpan(end).TrimStart().Length;
            if (covered < start) found.Add((covered, start, null));
            found.Add((start, end, token));
            covered = end;
        }
        if (covered < text.Length) found.Add((covered, text.Length, null));
        return found;
    }

    private static bool StartsWithWordCharacter(ReadOnlySpan<char> text)
    {
        Rune.DecodeFromUtf16(text, out var rune, out _);
        return !text.IsEmpty && IsWordCharacter(rune);
    }

    private static bool EndsWithWordCharacter(ReadOnlySpan<char> text)
    {
        Rune.DecodeLastFromUtf16(text, out var rune, out _);
        return !text.IsEmpty && IsWordCharacter(rune);
    }

    /// <summary>
    /// Whether a character is alphabetic, a mark, a decimal digit, a connector or a joiner: the set \w of Unicode UTS 18.
    /// </summary>
    private static bool IsWordCharacter(Rune rune) =>
        Rune.GetUnicodeCategory(rune) switch
        {
            UnicodeCategory.UppercaseLetter
            or UnicodeCategory.LowercaseLetter
            or UnicodeCategory.TitlecaseLetter
            or UnicodeCategory.ModifierLetter
            or UnicodeCategory.OtherLetter => true,
            UnicodeCategory.LetterNumber or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.ConnectorPunctuation => true,
            UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => true,
            UnicodeCategory.OtherSymbol => rune.Value
                is (>= 0x24B6 and <= 0x24E9)
                    or (>= 0x1F130 and <= 0x1F149)
                    or (>= 0x1F150 and <= 0x1F169)
                    or (>= 0x1F170 and <= 0x1F189),
            _ => rune.Value is 0x200C or 0x200D,
        };
}
