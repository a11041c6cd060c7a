using Falcon.Data;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Engine;

/// <summary>The tokenised texts of one forget domain and the retain set that goes with it.</summary>
/// <param name="Forget">Token ids, one array per text, truncated to the longest allowed length.</param>
/// <param name="Retain">The same for the retain set.</param>
/// <param name="ForgetAnswers">
/// For each forget text the position of the last prompt token, from which on the hidden states predict the answer; 0 for plain text.
/// </param>
/// <param name="RetainAnswers">The same for each retain text.</param>
public sealed record TopicTexts(
    IReadOnlyList<int[]> Forget,
    IReadOnlyList<int[]> Retain,
    IReadOnlyList<int> ForgetAnswers,
    IReadOnlyList<int> RetainAnswers
)
{
    /// <summary>How many of the last retain texts the model wrote itself.</summary>
    public int Generated { get; private init; }

    /// <summary>
    /// The topics with further retain texts that the model wrote itself, which count as plain text. Topics that share a retain set share
    /// the longer one.
    /// </summary>
    /// <param name="topics">Topics as read.</param>
    /// <param name="generated">Token ids.</param>
    public static IReadOnlyList<TopicTexts> With(IReadOnlyList<TopicTexts> topics, IReadOnlyList<int[]> generated)
    {
        var longer = topics
            .DistinctBy(topic => topic.Retain)
            .ToDictionary(
                topic => topic.Retain,
                topic =>
                    (
                        Texts: (IReadOnlyList<int[]>)[.. topic.Retain, .. generated],
                        Answers: (IReadOnlyList<int>)[.. topic.RetainAnswers, .. generated.Select(_ => 0)]
                    )
            );
        return
        [
            .. topics.Select(topic =>
                topic with
                {
                    Retain = longer[topic.Retain].Texts,
                    RetainAnswers = longer[topic.Retain].Answers,
                    Generated = generated.Count,
                }
            ),
        ];
    }

    /// <summary>Reads and tokenises the files of a run, one topic for each forget file.</summary>
    /// <exception cref="UserInputException">A file is missing, damaged or holds no usable text.</exception>
    /// <param name="data">The files, and the longest text.</param>
    /// <param name="prompts">The form of the texts, with the tokenizer.</param>
    public static IReadOnlyList<TopicTexts> Read(DataSettings data, PromptEncoder prompts)
    {
        var retain = data.Retain.Select(path => Tokenise(path, data, prompts)).ToList();
        if (data.Forget.Count == 1) retain = [([.. retain.SelectMany(file => file.Texts)], [.. retain.SelectMany(file => file.Answers)])];
        return
        [
            .. data.Forget.Select((path, i) =>
            {
                var (texts, answers) = Tokenise(path, data, prompts);
                var kept = retain[retain.Count == 1 ? 0 : i];
                return new TopicTexts(texts, kept.Texts, answers, kept.Answers);
            }),
        ];
    }

    /// <summary>
    /// For each forget text, the first position where the tokens up to and including it are the beginning of no retain text, or else its
    /// last position. Hidden states before that position are the same in both sets.
    /// </summary>
    public IReadOnlyList<int> ForgetDistinct()
    {
        List<int[]> sorted = [.. Retain];
        var order = Comparer<int[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b));
        sorted.Sort(order);
        return
        [
            .. Forget.Select(text =>
            {
                var at = sorted.BinarySearch(text, order);
                if (at < 0)
                    at = ~at;
                // In sorted order the longest common beginning is with a neighbour.
                var common = new[] { at - 1, at }
                    .Where(i => i >= 0 && i < sorted.Count)
                    .Select(i => text.AsSpan().CommonPrefixLength(sorted[i]))
                    .DefaultIfEmpty(0)
                    .Max();
                return Math.Min(common, text.Length - 1);
            }),
        ];
    }

    private static (List<int[]> Texts, List<int> Answers) Tokenise(string path, DataSettings data, PromptEncoder prompts)
    {
        List<int[]> texts = [];
        List<int> answers = [];
        foreach (var record in Corpus.Read(path, data.Fields))
        {
            var (ids, answerStart) = record is { Question: null, Text: { } text }
                ? new PromptAndAnswer(prompts.Tokenizer.EncodeStart(text, data.MaxLength), 0)
                : prompts.Encode(record);
            if (ids.Length > data.MaxLength)
                ids = ids[..data.MaxLength];
            if (ids.Length == 0)
                continue;
            texts.Add(ids);
            answers.Add(Math.Clamp(answerStart - 1, 0, ids.Length - 1));
        }

        return texts.Count > 0 ? (texts, answers) : throw new UserInputException($"{path}: no record holds any text.");
    }
}
