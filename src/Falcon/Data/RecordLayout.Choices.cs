using System.Globalization;
using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>The fields that hold the choices of a question and say which of them is right.</summary>
internal sealed partial class RecordLayout
{
    private const int MostColumns = 10;

    private List<string> Choices(CorpusRow row, out bool answerIsText)
    {
        answerIsText = false;
        if (Find(row, "choices") is { } list)
        {
            var choices = Texts(row, "choices", list);
            return choices.Count >= 2
                ? choices
                : throw new UserInputException(
                    $"{_path}, {row.Place}, field \"{Name("choices")}\": at least 2 choices are needed, found {choices.Count}."
                );
        }
        if (_names.ContainsKey("choices"))
            Required(row, "choices");
        if (Member(row, "options") is { ValueKind: JsonValueKind.Array } options)
        {
            var choices = Texts(row, "options", options);
            if (choices.Count >= 2)
                return choices;
            throw new UserInputException($"{_path}, {row.Place}, field \"options\": at least 2 choices are needed, found {choices.Count}.");
        }
        foreach (var names in new[] { Columns("choice", 0), Columns("option", 1), Letters() })
        {
            var choices = names
                .Select(name => (Name: name, Value: Member(row, name)))
                .TakeWhile(column => column.Value is not null)
                .Select(column => Text(row, column.Name, column.Value!.Value))
                .ToList();
            if (choices.Count < 2)
                continue;
            // A choice that is null would shift the ones after it and with them the label.
            if (names.Take(MostColumns).Skip(choices.Count + 1).FirstOrDefault(name => Member(row, name) is not null) is { } later)
                throw new UserInputException(
                    $"{_path}, {row.Place}: the field \"{names.ElementAt(choices.Count)}\" is missing or null, but \"{later}\" is there; "
                        + "give every choice a text."
                );
            answerIsText = names.First() == "option1";
            return choices;
        }
        return [];

        static IEnumerable<string> Columns(string name, int first) =>
            Enumerable.Range(first, 26).Select(number => string.Create(CultureInfo.InvariantCulture, $"{name}{number}"));
        static IEnumerable<string> Letters() => Enumerable.Range('A', 26).Select(letter => ((char)letter).ToString());
    }

    /// <summary>
    /// The index that the answer gives as a number, a letter, or the text of a choice. For choices called option1 and so on the text is
    /// tried first, since it may be a number.
    /// </summary>
    private int CorrectChoice(CorpusRow row, string field, List<string> choices, bool answerIsText)
    {
        if (!_names.ContainsKey(field) && Member(row, "letter") is { } letter)
            return ChoiceOfLetter(row, field, choices, letter);
        var value = Required(row, field);
        if (value.ValueKind is not (JsonValueKind.Number or JsonValueKind.String))
            throw WrongType(row, field, value, "the index, letter or text of the correct choice");
        var answer = value.ValueKind == JsonValueKind.Number ? value.GetRawText() : Text(row, field, value);
        if (answerIsText && choices.IndexOf(answer) is >= 0 and var byText)
            return byText;
        if (int.TryParse(answer, NumberStyles.None, CultureInfo.InvariantCulture, out var index) && index < choices.Count)
            return index;
        if (answer is [>= 'A' and <= 'Z'] && answer[0] - 'A' < choices.Count)
            return answer[0] - 'A';
        if (value.ValueKind == JsonValueKind.String && choices.IndexOf(answer) is >= 0 and var same)
            return same;
        throw new UserInputException(
            $"{_path}, {row.Place}, field \"{Name(field)}\": \"{answer}\" names none of the {choices.Count} choices; "
                + "give the index from 0, the letter, or the text of one."
        );
    }

    // The letter of the correct choice beside the answer's text, as in {"options": [...], "letter": "B", "answer": "..."}.
    private int ChoiceOfLetter(CorpusRow row, string field, List<string> choices, JsonElement letter)
    {
        if (letter.ValueKind != JsonValueKind.String)
            throw WrongType(row, "letter", letter, "the letter of the correct choice");
        var text = Text(row, "letter", letter);
        if (text is not [>= 'A' and <= 'Z'] || text[0] - 'A' >= choices.Count)
            throw new UserInputException(
                $"{_path}, {row.Place}, field \"letter\": \"{text}\" names none of the {choices.Count} choices; "
                    + $"give a letter from A to {(char)('A' + choices.Count - 1)}."
            );
        var correct = text[0] - 'A';
        if (
            Find(row, field) is { ValueKind: JsonValueKind.String } answer
            && choices.IndexOf(Text(row, field, answer)) is var named
            && named >= 0
            && choices[named] != choices[correct]
        )
            throw new UserInputException(
                $"{_path}, {row.Place}: the field \"letter\" names \"{choices[correct]}\" and the field \"{Name(field)}\" names "
                    + $"\"{choices[named]}\"; correct the one that is wrong."
            );
        return correct;
    }

    private List<string> Texts(CorpusRow row, string field, JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.String) return [Text(row, field, value)];
        if (value.ValueKind != JsonValueKind.Array) throw WrongType(row, field, value, "a list of texts");
        return
        [
            .. value
                .EnumerateArray()
                .Select((item, i) =>
                    item.ValueKind == JsonValueKind.String
                        ? Text(row, field, item)
                        : throw new UserInputException(
                            string.Create(
                                CultureInfo.InvariantCulture,
                                $"{_path}, {row.Place}, field \"{Name(field)}[{i}]\": text is needed, found {Kind(item)}; "
                            )
                                + "correct the value; no entry of a list is ever left out."
                        )
                ),
        ];
    }
}
