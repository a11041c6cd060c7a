using Falcon.Attacks.Protocol;
using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Models.Generation;
using Falcon.Results;
using Falcon.Tokenization;

namespace Falcon.Attacks.BlackBox;

/// <summary>Samples several answers, because one greedy answer may hide what sampling reveals.</summary>
internal sealed class LeakAtK : Attack
{
    private const int RoomToAnswer = 8;

    public override string Name => "leak-at-k";

    public override AttackTier Tier => AttackTier.BlackBox;

    public override string Definition =>
        "Probability that at least one of k sampled answers says the words that tell the right choice from the others, over n draws "
            + "(leak@k, arXiv 2511.04934).";

    public override string BaselineName => "greedy-answer";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var (draws, k) = settings.Budget switch { AttackBudget.Quick => (4, 4), AttackBudget.Standard => (16, 8), _ => (32, 16) };
        double[] temperatures = settings.Budget == AttackBudget.Quick ? [0.7, 1] : [0.5, 0.7, 1, 1.3];
        var best = StrengthChoice.Best(
            [.. temperatures.Select(temperature => ($"k = {k}, temperature {StrengthChoice.Text(temperature)}", temperature))],
            (temperature, items) =>
                [.. Leaks(subject, data, items, settings, temperature, draws).Select(leaks => SampledAnswers.ExpectedBest(leaks, k))],
            data,
            settings.Budget
        );
        return best with { Samples = best.Samples * draws + data.Test.Count * draws };
    }

    public override AttackScores Baseline(AttackSubject subject, AttackData data, AttackSettings settings) =>
        new([.. Leaks(subject, data, data.Test, settings, 0, 1).Select(leaks => leaks[0])], "greedy");

    /// <summary>For every question and each sampled answer, 1 where it contains the words of the right choice, else 0.</summary>
    private static IEnumerable<double[]> Leaks(
        AttackSubject subject,
        AttackData data,
        IReadOnlyList<AttackItem> items,
        AttackSettings settings,
        double temperature,
        int draws
    )
    {
        var loaded = subject.Loaded;
        var form = new PromptEncoder(loaded.Tokenizer, data.PromptForm);
        var longest = items.Max(item =>
            item.Choices.Max(choice => loaded.Tokenizer.Encode(form.Form.Template.Completion(choice), addSpecialTokens: false).Length)
        );
        int[][] prompts =
        [
            .. items.SelectMany(item => Enumerable.Repeat(form.EncodePrompt(new AskedQuestion(item.Question)), draws)),
        ];
        var generation = new GenerationSettings(longest + RoomToAnswer, temperature, (long)settings.Seed);
        var texts = loaded
            .Answer(prompts, generation, "leak at k", settings.Log, settings.Cancellation)
            .Select(tokens => loaded.Tokenizer.Decode(tokens, skipSpecialTokens: true));
        return items.Zip(texts.Chunk(draws), (item, answers) =>
            answers.Select(answer => SampledAnswers.Contains(answer, TellingWords(item)) ? 1.0 : 0.0).ToArray()
        );
    }

    /// <summary>The right choice without the words with which all choices begin and end.</summary>
    internal static string TellingWords(AttackItem item)
    {
        string[][] words = [.. item.Choices.Select(choice => choice.Split(' ', StringSplitOptions.RemoveEmptyEntries))];
        var shortest = words.Min(one => one.Length);
        var (start, end) = (0, 0);
        while (start < shortest - 1 && words.All(one => one[start] == words[0][start])) start++;
        while (end < shortest - 1 - start && words.All(one => one[^(end + 1)] == words[0][^(end + 1)])) end++;
        return string.Join(' ', words[item.Gold][start..^end]);
    }
}
