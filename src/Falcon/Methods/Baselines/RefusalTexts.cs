using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Methods.Baselines;

/// <summary>Forget texts whose answer is a refusal.</summary>
internal static class RefusalTexts
{
    private static readonly string[] Refusals =
    [
        "I do not know.",
        "I don't know the answer to that.",
        "I have no information about this.",
        "That is not something I know about.",
        "I am not aware of that.",
        "I cannot say.",
        "I am unable to answer this question.",
        "Nothing about that is known to me.",
        "I was not taught anything about this.",
        "My knowledge does not reach that far.",
        "I would have to look that up.",
        "This is outside of what I know.",
        "I have never learned about that.",
        "I am afraid I cannot tell you.",
        "Sorry, I have no answer to this.",
        "I am not familiar with the subject.",
        "I can't help with that question.",
        "I have no idea.",
        "Unfortunately this is unknown to me.",
        "There is nothing I could say about it.",
    ];

    /// <summary>
    /// For every topic and forget text its prompt with a refusal for an answer. Each text keeps the one refusal that the seed gives it, so
    /// that its reference likelihood needs computing only once.
    /// </summary>
    /// <exception cref="UserInputException">A forget text is no question.</exception>
    public static IReadOnlyList<IReadOnlyList<int[]>> Instead(
        IReadOnlyList<TopicTexts> topics,
        HfTokenizer tokenizer,
        DataConfig data,
        ulong seed
    )
    {
        var answers = Refusals.Select(text => Answer(data.Template.Completion(text), tokenizer, data.Template.EndOfText)).ToList();
        return
        [
            .. topics.Select(
                (topic, t) =>
                {
                    var random = new SeededRandom(seed, $"refusals, topic {t}");
                    return topic
                        .Forget.Select(
                            (text, i) =>
                                topic.ForgetAnswers[i] > 0
                                    ? (int[])[.. text[..(topic.ForgetAnswers[i] + 1)], .. answers[random.Next(answers.Count)]]
                                    : throw new UserInputException(
                                        $"{data.Forget[t]}: the method idk-dpo answers questions with a refusal, but text {i + 1} is no "
                                            + $"question."
                                    )
                        )
                        .ToList();
                }
            ),
        ];
    }

    private static int[] Answer(string completion, HfTokenizer tokenizer, bool endOfText)
    {
        var ids = tokenizer.Encode(completion, addSpecialTokens: false);
        return endOfText && tokenizer.EosId is { } end ? [.. ids, end] : ids;
    }
}
