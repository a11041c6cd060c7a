using Falcon.Engine;
using Falcon.Methods.Terms;
using Falcon.Models.Generation;
using Falcon.Runtime;

namespace Falcon.Methods.Preference;

/// <summary>Other answers to the forget questions, sampled from the unchanged model once and kept in the run's files.</summary>
internal static class AlternativeAnswers
{
    private const int Rounds = 6;
    private const double TemperatureStep = 0.5;

    /// <summary>
    /// For every topic and forget text its prompt with each of its other answers. An answer that is the true one, or was drawn before, is
    /// drawn again; from the second round on at a temperature higher by a half each time.
    /// </summary>
    /// <exception cref="UserInputException">A forget text is no question, or the model gives nothing but its true answer.</exception>
    public static IReadOnlyList<IReadOnlyList<IReadOnlyList<int[]>>> Make(AlternativePreference settings, TermInputs inputs)
    {
        List<(int Topic, int Text)> questions =
        [
            .. inputs.Topics.SelectMany((topic, t) => Enumerable.Range(0, topic.Forget.Count).Select(i => (t, i))),
        ];
        List<int[]> prompts = [.. questions.Select(question => RefusalTexts.Prompt(inputs, question.Topic, question.Text))];
        var kept = inputs.Texts.Get("alternatives.jsonl", () => Draw(settings, inputs, questions, prompts));
        var found = questions.Select(_ => new List<int[]>()).ToList();
        var places = Enumerable
            .Range(0, prompts.Count)
            .GroupBy(i => prompts[i], TokenSequence.Comparer)
            .ToDictionary(group => group.Key, group => group.ToList(), TokenSequence.Comparer);
        foreach (var text in kept)
        {
            // A kept text is the whole, prompt and answer; the longest prompt that begins it is its own.
            var own = places.Keys.Where(prompt => text.Tokens.AsSpan().StartsWith(prompt)).MaxBy(prompt => prompt.Length);
            if (own is null)
                throw new UserInputException(
                    "alternatives.jsonl: a text begins with no forget question; remove the file to make it again."
                );
            foreach (var place in places[own])
                found[place].Add(text.Tokens);
        }

        var lacking = found.FindIndex(answers => answers.Count == 0);
        if (lacking >= 0)
            throw new UserInputException(
                $"{inputs.Data.Forget[questions[lacking].Topic]}: for text {questions[lacking].Text + 1} the model gives nothing but its "
                    + "true answer. Raise objective.forget.alternatives.temperature, or use another method, such as idk-dpo."
            );
        var byTopic = questions.Zip(found).ToLookup(item => item.First.Topic, item => (IReadOnlyList<int[]>)item.Second);
        return [.. inputs.Topics.Select((_, t) => (IReadOnlyList<IReadOnlyList<int[]>>)[.. byTopic[t]])];
    }

    private static List<KeptText> Draw(
        AlternativePreference settings,
        TermInputs inputs,
        List<(int Topic, int Text)> questions,
        List<int[]> prompts
    )
    {
        var tokenizer = inputs.RequiredPrompts.Tokenizer;
        var ends = tokenizer.StopIds(inputs.Frozen.Config.EosTokenIds);
        var ending = inputs.RequiredPrompts.EndTokens;
        var seen = questions
            .Select(question => new HashSet<int[]>([inputs.Topics[question.Topic].Forget[question.Text]], TokenSequence.Comparer))
            .ToList();
        var longest = inputs.Topics.Max(topic => topic.Forget.Max(text => text.Length));
        List<KeptText> made = [];
        var left = questions.Select(_ => settings.Count).ToArray();
        for (var round = 0; round < Rounds && left.Any(count => count > 0); round++)
        {
            List<int> due = [.. Enumerable.Range(0, questions.Count).SelectMany(i => Enumerable.Repeat(i, left[i]))];
            var random = new SeededRandom(inputs.Seed, "alternative answers, round", round);
            var sampling = new GenerationSettings(
                longest,
                settings.Temperature + TemperatureStep * round,
                (long)(random.NextUInt64() >> 1)
            );
            var drawn = Generation.Continue(
                inputs.Frozen,
                [.. due.Select(i => prompts[i])],
                sampling,
                ends,
                inputs.PadId,
                done => inputs.Log.Progress("other answers by the model itself", done, due.Count),
                inputs.Cancellation
            );
            for (var k = 0; k < due.Count; k++)
            {
                if (drawn[k].Length == 0) continue;
                var i = due[k];
                int[] text = [.. prompts[i], .. drawn[k].Take(Math.Max(1, longest - prompts[i].Length)), .. ending];
                if (!seen[i].Add(text)) continue;
                made.Add(new KeptText(tokenizer.Decode(text), text));
                left[i]--;
            }
        }

        inputs.Log.Information(
            $"{made.Count} other answers by the model itself, {settings.Count} wanted for each of {questions.Count} questions"
        );
        return made;
    }
}
