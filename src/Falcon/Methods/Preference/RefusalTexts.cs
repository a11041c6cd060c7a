using Falcon.Methods.Terms;
using Falcon.Runtime;

namespace Falcon.Methods.Preference;

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
    /// For every topic and forget text its prompt with a refusal for an answer. The seed gives each text one refusal, which it keeps, so
    /// that its reference likelihood needs computing only once.
    /// </summary>
    /// <exception cref="UserInputException">A forget text is no question.</exception>
    public static IReadOnlyList<IReadOnlyList<int[]>> Instead(TermInputs inputs)
    {
        var answers = Refusals.Select(text => Answer(text, inputs)).ToList();
        return
        [
            .. inputs.Topics.Select((topic, t) =>
            {
                var random = new SeededRandom(inputs.Seed, $"refusals, topic {t}");
                return topic
                    .Forget.Select((_, i) => (int[])[.. Prompt(inputs, t, i), .. answers[random.Next(answers.Count)]])
                    .ToList();
            }),
        ];
    }

    /// <summary>The prompt of a forget text.</summary>
    /// <exception cref="UserInputException">The text is no question.</exception>
    public static int[] Prompt(TermInputs inputs, int topic, int text)
    {
        var texts = inputs.Topics[topic];
        return texts.ForgetAnswers[text] > 0
            ? texts.Forget[text][..(texts.ForgetAnswers[text] + 1)]
            : throw new UserInputException(
                $"{inputs.Data.Forget[topic]}: the method gives other answers to questions, but text {text + 1} is no question; "
                    + "give records with question and answer."
            );
    }

    /// <summary>The tokens of an answer in the run's form, with the end token where the form has one.</summary>
    public static int[] Answer(string text, TermInputs inputs) => inputs.RequiredPrompts.AnswerTokens(text);
}
