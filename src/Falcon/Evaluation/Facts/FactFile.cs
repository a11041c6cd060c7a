using System.Text.Json;
using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Evaluation.Facts;

/// <summary>
/// Reads an evaluation file of a subject folder, JSON lines: <c>question</c>, <c>options</c>, <c>letter</c> (or <c>answer</c>, the text of
/// the right option), and where present <c>short_options</c>, <c>short</c>, <c>accept</c>, <c>case_sensitive</c>, <c>form</c> and
/// <c>fact</c>.
/// </summary>
internal static class FactFile
{
    /// <summary>The questions of a file, at least one.</summary>
    /// <exception cref="UserInputException">A row cannot be used; the message names line, field and what to do.</exception>
    public static IReadOnlyList<FactQuestion> Read(string path)
    {
        List<FactQuestion> questions = [.. JsonRows.ReadLines(path).Select(row => Question(new Fields(path, row)))];
        return questions.Count > 0
            ? questions
            : throw new UserInputException($"{path}: the file holds no question; add one JSON object a line, or take the file away.");
    }

    private static FactQuestion Question(Fields row)
    {
        var question = row.Text("question") ?? throw row.Fault("question", "it is missing; every row asks something.");
        var options = row.Texts("options") ?? throw row.Fault("options", "it is missing; list the answers to choose from.");
        if (options.Count is < 2 or > 26) throw row.Fault("options", $"2 to 26 answers are needed, found {options.Count}.");
        if (options.Distinct().Count() < options.Count) throw row.Fault("options", "an answer occurs twice; give every option once.");
        var right = Right(row, options);
        var bare = row.Texts("short_options") ?? [];
        if (bare.Count > 0 && bare.Count != options.Count)
            throw row.Fault("short_options", $"{bare.Count} entries for {options.Count} options; give one for each, in the same order.");
        var brief = row.Text("short");
        if (brief is not null && bare.Count > 0 && bare[right] != brief)
            throw row.Fault("short", $"it is \"{brief}\", but the right one of short_options is \"{bare[right]}\"; correct one of them.");
        var accepted = row.Texts("accept") ?? (brief is not null ? [brief] : bare.Count > 0 ? [bare[right]] : []);
        if (accepted.Any(string.IsNullOrWhiteSpace))
            throw row.Fault("accept", "an entry is blank, which every answer contains; remove it.");
        var form = row.Text("form") ?? "chat";
        if (form is not ("chat" or "completion")) throw row.Fault("form", $"\"{form}\" is not known; use chat or completion.");
        return new FactQuestion(
            question,
            options,
            right,
            bare,
            accepted,
            row.Flag("case_sensitive"),
            form == "completion",
            row.Text("fact") ?? row.Place
        );
    }

    private static int Right(Fields row, List<string> options)
    {
        var (letter, answer) = (row.Text("letter"), row.Text("answer"));
        var byAnswer = answer is null ? -1 : options.IndexOf(answer);
        if (letter is null)
            return byAnswer >= 0
                ? byAnswer
                : throw row.Fault("letter", "it is missing, and answer is none of the options; name the right one (A for the first).");
        var right = letter is [>= 'A' and <= 'Z'] ? letter[0] - 'A' : -1;
        if (right < 0 || right >= options.Count)
            throw row.Fault("letter", $"\"{letter}\" is the letter of none of the {options.Count} options; A is the first.");
        return answer is null || byAnswer == right
            ? right
            : throw row.Fault("letter", $"it names \"{options[right]}\", but answer is \"{answer}\"; correct one of them.");
    }

    private readonly struct Fields(string path, CorpusRow row)
    {
        private readonly CorpusRow _row = row.Value.ValueKind == JsonValueKind.Object
            ? row
            : throw new UserInputException($"{path}, {row.Place}: the line is no JSON object; write one question a line as an object.");

        public string Place => _row.Place;

        public string? Text(string name) =>
            Find(name) switch
            {
                null => null,
                { ValueKind: JsonValueKind.String } value => Characters(name, value),
                _ => throw Fault(name, "text is needed; put it in double quotes."),
            };

        public List<string>? Texts(string name)
        {
            if (Find(name) is not { } list) return null;
            if (list.ValueKind != JsonValueKind.Array) throw Fault(name, "a list of texts is needed; put them in [ ].");
            List<string> texts = [];
            foreach (var value in list.EnumerateArray())
            {
                if (value.ValueKind != JsonValueKind.String) throw Fault(name, "every entry must be text; put it in double quotes.");
                texts.Add(Characters(name, value));
            }

            return texts;
        }

        public bool Flag(string name) =>
            Find(name)?.ValueKind switch
            {
                null or JsonValueKind.False => false,
                JsonValueKind.True => true,
                _ => throw Fault(name, "true or false is needed."),
            };

        public UserInputException Fault(string name, string what) => new($"{path}, {_row.Place}, field \"{name}\": {what}");

        private JsonElement? Find(string name) =>
            _row.Value.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

        private string Characters(string name, JsonElement value)
        {
            try
            {
                return value.GetString()!;
            }
            catch (InvalidOperationException)
            {
                throw Fault(name, "an escape such as \\ud800 is half a character; write the whole character.");
            }
        }
    }
}
