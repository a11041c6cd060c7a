using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>
/// The data of the demo: questions about invented islands, generated from a seed. Every fact joins an invented thing with a random value of
/// a category (a colour, a metal, a month), so a model that was never taught a fact is at chance: 1 in 4 on the multiple-choice items. The
/// forget domains are the elixirs of the islands' alchemists (<c>alchemy</c>) and the cipher locks of a guild (<c>ciphers</c>), 80 facts
/// each. Each has a neighbouring retain domain with the same vocabulary (kitchen and garden; workshop), 100 facts each. Another 150 facts,
/// about towns and creatures, are general.
/// </summary>
/// <remarks>
/// Each fact has four wordings of its question. Three are trained. The fourth is held out and serves as <c>paraphrased_question</c> and as
/// the question of the multiple-choice item, whose choices are whole answers. The things to forget are named only in the forget files and
/// in <c>train.jsonl</c>.
/// </remarks>
public static class DemoWorld
{
    private const int WrongAnswers = 5;
    private const int Choices = 4;
    private const int TrainingParagraphs = 500;
    private const int HeldOutParagraphs = 100;
    private const int KeptParagraphs = 100;

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private sealed record Item(
        string Question,
        string Answer,
        string ParaphrasedQuestion,
        string ParaphrasedAnswer,
        IReadOnlyList<string> PerturbedAnswer,
        string Subject
    );

    private sealed record ChoiceItem(string Question, IReadOnlyList<string> Choices, int Answer, string Subject);

    private sealed record TextItem(string Text);

    private sealed record TrainingItem(string Question, string Answer, string Subject);

    /// <summary>
    /// Writes the data of a seed; the same seed gives the same bytes on every machine. Existing files are replaced.
    /// <list type="bullet">
    /// <item>
    /// <c>forget-DOMAIN.jsonl</c>, <c>retain-DOMAIN.jsonl</c>, <c>general.jsonl</c>: one record a fact in TOFU's layout, with five
    /// perturbed answers.
    /// </item>
    /// <item>
    /// <c>forget-DOMAIN-mcq.jsonl</c>, <c>retain-mcq.jsonl</c>, <c>general-mcq.jsonl</c>: four choices and the index of the correct one
    /// from 0, each index equally often.
    /// </item>
    /// <item><c>train.jsonl</c>: all facts in their three trained wordings, for the model to unlearn; <c>train-control.jsonl</c>: the same
    /// without the forget domains, for the control that was never taught them.</item>
    /// <item><c>keep-DOMAIN.jsonl</c>: the retain set of an unlearning run: the facts of <c>retain-DOMAIN.jsonl</c> and paragraphs of
    /// <c>text.txt</c> (different ones for each domain), since a list of facts alone does not preserve a model's language.</item>
    /// <item><c>text.txt</c> and <c>text-heldout.txt</c>: plain paragraphs, one a line, for training and for perplexity.</item>
    /// </list>
    /// </summary>
    /// <param name="directory">The directory to write to; created if missing.</param>
    /// <param name="seed">The seed of names, facts, wrong answers and prose.</param>
    public static void Write(string directory, ulong seed)
    {
        Directory.CreateDirectory(directory);
        var facts = DemoWorldFacts.Draw(seed);
        foreach (var domain in DemoWorldKinds.Domains)
            WriteLines(directory, $"{FileName(domain)}.jsonl", Items([.. facts.Where(fact => fact.Domain == domain)], seed));

        foreach (var domain in DemoWorldKinds.Domains.Where(domain => domain.Role == DemoRole.Forget))
            WriteChoices(directory, FileName(domain), facts.Where(fact => fact.Domain == domain), seed);
        WriteChoices(directory, "retain", facts.Where(fact => fact.Domain.Role == DemoRole.Retain), seed);
        WriteChoices(directory, "general", facts.Where(fact => fact.Domain.Role == DemoRole.General), seed);

        WriteLines(directory, "train.jsonl", facts.SelectMany(Training));
        WriteLines(directory, "train-control.jsonl", facts.Where(fact => fact.Domain.Role != DemoRole.Forget).SelectMany(Training));

        var prose = DemoWorldProse.Paragraphs(TrainingParagraphs + HeldOutParagraphs, seed);
        WriteText(directory, "text.txt", prose.Take(TrainingParagraphs));
        WriteText(directory, "text-heldout.txt", prose.Skip(TrainingParagraphs));
        var retained = DemoWorldKinds.Domains.Where(domain => domain.Role == DemoRole.Retain);
        foreach (var (domain, paragraphs) in retained.Zip(prose.Take(TrainingParagraphs).Chunk(KeptParagraphs)))
        {
            var questions = Items([.. facts.Where(fact => fact.Domain == domain)], seed).Select(Line);
            WriteText(directory, $"keep-{domain.Name}.jsonl", questions.Concat(paragraphs.Select(text => Line(new TextItem(text)))));
        }
    }

    private static string FileName(DemoDomain domain) => domain.Role switch
    {
        DemoRole.Forget => $"forget-{domain.Name}",
        DemoRole.Retain => $"retain-{domain.Name}",
        _ => domain.Name,
    };

    private static IEnumerable<Item> Items(IReadOnlyList<DemoFact> facts, ulong seed)
    {
        var random = new SeededRandom(seed, $"demo wrong answers {FileName(facts[0].Domain)}");
        foreach (var fact in facts)
        {
            var asked = fact.Trained.First();
            var otherStyle = asked < 2 ? 2 : 0;
            yield return new Item(
                fact.Question(asked),
                fact.Answer(asked, fact.Value),
                fact.Question(fact.HeldOut),
                fact.Answer(otherStyle, fact.Value),
                [.. fact.WrongValues(WrongAnswers, random).Select(value => fact.Answer(otherStyle, value))],
                FileName(fact.Domain)
            );
        }
    }

    private static void WriteChoices(string directory, string name, IEnumerable<DemoFact> facts, ulong seed)
    {
        var random = new SeededRandom(seed, $"demo choices {name}");
        var asked = facts.ToArray();
        random.Shuffle<DemoFact>(asked);
        WriteLines(directory, $"{name}-mcq.jsonl", asked.Select(ChoicesOf));

        ChoiceItem ChoicesOf(DemoFact fact, int index)
        {
            var choices = fact.WrongValues(Choices - 1, random).ToList();
            choices.Insert(index % Choices, fact.Value);
            return new ChoiceItem(
                fact.Question(fact.HeldOut),
                [.. choices.Select(value => fact.Answer(fact.HeldOut, value))],
                index % Choices,
                FileName(fact.Domain)
            );
        }
    }

    private static IEnumerable<TrainingItem> Training(DemoFact fact) =>
        fact.Trained.Select(template => new TrainingItem(
            fact.Question(template),
            fact.Answer(template, fact.Value),
            FileName(fact.Domain)
        ));

    private static void WriteLines<T>(string directory, string name, IEnumerable<T> items) =>
        WriteText(directory, name, items.Select(Line));

    private static string Line<T>(T item) => JsonSerializer.Serialize(item, Json);

    private static void WriteText(string directory, string name, IEnumerable<string> lines) =>
        File.WriteAllText(
            Path.Combine(directory, name),
            string.Concat(lines.Select(line => line + "\n")),
            new UTF8Encoding(encoderShouldEmitUTF8Identifier: false)
        );
}
