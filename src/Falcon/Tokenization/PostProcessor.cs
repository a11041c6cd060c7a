namespace Falcon.Tokenization;

/// <summary>The <c>post_processor</c> of a tokenizer.json: the ids that are added before and after those of a text.</summary>
internal sealed record PostProcessor(IReadOnlyList<int> Before, IReadOnlyList<int> After)
{
    private static readonly PostProcessor None = new([], []);

    /// <summary>Reads the post-processor; an unknown type is an error that names it.</summary>
    public static PostProcessor Read(TokenizerSection section)
    {
        if (section.IsNull) return None;
        return section["type"].Text() switch
        {
            "ByteLevel" => None, // changes offsets only
            "Sequence" => section["processors"]
                .Items()
                .Select(Read)
                .Aggregate(None, (inner, outer) => new([.. outer.Before, .. inner.Before], [.. inner.After, .. outer.After])),
            "TemplateProcessing" => ReadTemplate(section),
            var unknown => throw section.Unsupported($"the post-processor type '{unknown}' is not supported"),
        };
    }

    private static PostProcessor ReadTemplate(TokenizerSection section)
    {
        var (before, after) = (new List<int>(), new List<int>());
        var sequences = 0;
        foreach (var part in section["single"].Items())
        {
            if (!part["Sequence"].IsNull) sequences++;
            else if (!part["SpecialToken"].IsNull)
                (sequences == 0 ? before : after).AddRange(
                    section["special_tokens"][part["SpecialToken"]["id"].Text()]["ids"].Items().Select(id => id.Number())
                );
            else
                throw part.Unsupported("neither a Sequence nor a SpecialToken");
        }
        if (sequences != 1) throw section["single"].Unsupported($"the text must occur once in the template, not {sequences} times");
        return new(before, after);
    }
}
