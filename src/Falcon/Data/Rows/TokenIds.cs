using System.Globalization;
using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Data.Rows;

/// <summary>A row that comes tokenised: <c>input_ids</c>, and <c>labels</c> that say which of them count in a loss.</summary>
/// <param name="Ids">The token ids; at least one.</param>
/// <param name="AnswerFrom">Index of the first token that <c>labels</c> counts; 0 without labels, where all count.</param>
internal readonly record struct TokenIds(IReadOnlyList<int> Ids, int AnswerFrom)
{
    private const int NotCounted = -100; // PyTorch's ignore_index, as the Hugging Face library writes it

    /// <summary>Reads the fields of one row.</summary>
    /// <param name="place">File and line or row, for messages.</param>
    /// <param name="ids">The field <c>input_ids</c>.</param>
    /// <param name="labels">The field <c>labels</c>; null where it is absent.</param>
    /// <param name="mask">The field <c>attention_mask</c>; null where it is absent.</param>
    /// <exception cref="UserInputException">
    /// A field is no list of whole numbers, the row is empty or padded, or labels count something else than the end of the row.
    /// </exception>
    public static TokenIds Read(string place, JsonElement ids, JsonElement? labels, JsonElement? mask)
    {
        var tokens = Numbers(place, "input_ids", ids);
        if (tokens.Count == 0) throw new UserInputException($"{place}, field \"input_ids\": the list is empty; remove the row.");
        if (tokens.FindIndex(id => id < 0) is >= 0 and var negative)
            throw new UserInputException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{place}, field \"input_ids\": entry {negative + 1} is {tokens[negative]}; an id is 0 or more."
                )
            );
        if (mask is { } given)
        {
            var real = Numbers(place, "attention_mask", given);
            if (real.Count != tokens.Count || real.Any(one => one != 1))
                throw new UserInputException(
                    $"{place}, field \"attention_mask\": it must be 1 for every token; take the padding out of input_ids and of it."
                );
        }

        return new TokenIds(tokens, labels is { } counted ? First(place, tokens, Numbers(place, "labels", counted)) : 0);
    }

    private static int First(string place, List<int> tokens, List<int> labels)
    {
        if (labels.Count != tokens.Count)
            throw new UserInputException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{place}, field \"labels\": {labels.Count} labels for {tokens.Count} input_ids; give one for each."
                )
            );
        var first = labels.FindIndex(label => label != NotCounted);
        if (first < 0)
            throw new UserInputException($"{place}, field \"labels\": all are -100, so nothing of the row counts; remove the row.");
        for (var i = first; i < labels.Count; i++)
            if (labels[i] != tokens[i])
                throw new UserInputException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{place}, field \"labels\": entry {i + 1} is {labels[i]} where input_ids has {tokens[i]}; labels must be -100 for "
                            + $"the beginning of a row and repeat input_ids from there on. Make several turns several rows."
                    )
                );
        return first;
    }

    private static List<int> Numbers(string place, string field, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array)
            throw new UserInputException($"{place}, field \"{field}\": a list of whole numbers is needed; write it as [1, 2, 3].");
        List<int> numbers = new(value.GetArrayLength());
        foreach (var entry in value.EnumerateArray())
            numbers.Add(
                entry.ValueKind == JsonValueKind.Number && entry.TryGetInt32(out var number)
                    ? number
                    : throw new UserInputException(
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"{place}, field \"{field}\": entry {numbers.Count + 1} is {entry.GetRawText()}, not a whole number."
                        )
                    )
            );
        return numbers;
    }
}
