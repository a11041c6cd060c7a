using Falcon.Tokenization.Patterns;

namespace Falcon.Tokenization;

/// <summary>A piece of normalized text; <paramref name="AtStart"/> is true for a piece at the start of the original text.</summary>
internal readonly record struct Piece(string Text, bool AtStart);

/// <summary>Splits one piece and adds the resulting non-empty pieces to the output.</summary>
internal delegate void PreTokenizer(Piece piece, List<Piece> output);

/// <summary>The <c>pre_tokenizer</c> of a tokenizer.json: splits a text into the words inside which pairs are merged.</summary>
internal static class PreTokenizers
{
    // ByteLevel uses the pattern of GPT-2 by default.
    private const string Gpt2Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>Reads the pre-tokenizer; an unknown type is an error that names it.</summary>
    public static PreTokenizer Read(TokenizerSection section)
    {
        if (section.IsNull) return (piece, output) => output.Add(piece);
        return section["type"].Text() switch
        {
            "Sequence" => InSequence([.. section["pretokenizers"].Items().Select(Read)]),
            "Split" => Split(SplitPattern.Read(section["pattern"]), ReadBehavior(section["behavior"]), section["invert"].Flag(false)),
            "Digits" => Split(
                SplitPattern.Expression(@"\p{N}"),
                section["individual_digits"].Flag(false) ? SplitBehavior.Isolated : SplitBehavior.Contiguous,
                false
            ),
            "ByteLevel" => ByteLevel(section["add_prefix_space"].Flag(true), section["use_regex"].Flag(true)),
            "Metaspace" => Metaspace(section),
            var unknown => throw section.Unsupported($"the pre-tokenizer type '{unknown}' is not supported"),
        };
    }

    public static PreTokenizer ByteLevel(bool addPrefixSpace, bool useRegex)
    {
        var pattern = useRegex ? SplitPattern.Expression(Gpt2Pattern) : null;
        return (piece, output) =>
        {
            var text = addPrefixSpace && !piece.Text.StartsWith(' ') ? " " + piece.Text : piece.Text;
            if (pattern is null)
            {
                output.Add(piece with { Text = ByteLevelAlphabet.Encode(text) });
                return;
            }
            foreach (var stretch in pattern.Find(text))
                output.Add(
                    new(
                        ByteLevelAlphabet.Encode(text.AsSpan(stretch.Start, stretch.End - stretch.Start)),
                        piece.AtStart && stretch.Start == 0
                    )
                );
        };
    }

    private static PreTokenizer InSequence(PreTokenizer[] steps) => (piece, output) =>
    {
        var pieces = new List<Piece> { piece };
        foreach (var step in steps)
        {
            var next = new List<Piece>(pieces.Count);
            foreach (var current in pieces) step(current, next);
            pieces = next;
        }
        output.AddRange(pieces);
    };

    private static PreTokenizer Split(SplitPattern pattern, SplitBehavior behavior, bool invert) => (piece, output) =>
    {
        var stretches = pattern.Find(piece.Text);
        if (invert) stretches = stretches.ConvertAll(stretch => stretch with { IsMatch = !stretch.IsMatch });
        foreach (var stretch in SplitBehaviors.Apply(stretches, behavior))
            if (stretch.End > stretch.Start) output.Add(new(piece.Text[stretch.Start..stretch.End], piece.AtStart && stretch.Start == 0));
    };

    private static PreTokenizer Metaspace(TokenizerSection section)
    {
        var replacement = section["replacement"].Text();
        var older = section["add_prefix_space"].Flag(true) ? "always" : "never";
        var scheme = section["prepend_scheme"].TextOrNull() ?? older;
        if (scheme is not ("always" or "first" or "never"))
            throw section.Unsupported($"the prepend_scheme '{scheme}' is not supported");
        var split = section["split"].Flag(true)
            ? Split(SplitPattern.Literal(replacement), SplitBehavior.MergedWithNext, false)
            : (piece, output) => output.Add(piece);
        return (piece, output) =>
        {
            var text = piece.Text.Replace(" ", replacement, StringComparison.Ordinal);
            var prepend =
                (scheme == "always" || (scheme == "first" && piece.AtStart)) && !text.StartsWith(replacement, StringComparison.Ordinal);
            split(piece with { Text = prepend ? replacement + text : text }, output);
        };
    }

    private static SplitBehavior ReadBehavior(TokenizerSection section) =>
        Enum.TryParse<SplitBehavior>(section.Text(), out var behavior)
            ? behavior
            : throw section.Unsupported($"the behavior '{section.Text()}' is not supported");
}
