using System.Globalization;
using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation.Membership;

/// <summary>
/// Membership scores of a forget and a holdout set from one likelihood pass, and the AUCs of telling the two apart.
/// </summary>
internal sealed class MembershipScores
{
    /// <summary>
    /// Attacks by OpenUnlearning's names; the key under which a set's scores are kept is <c>NAME forget</c> or <c>NAME holdout</c>.
    /// </summary>
    public static IReadOnlyList<string> Attacks { get; } = ["mia_loss", "mia_zlib", "mia_min_k", "mia_min_k_plus_plus"];

    private const string MinK = "mia_min_k";

    private readonly record struct Member(ScoredSequence Sequence, string Text, bool IsClosed);

    private readonly IReadOnlyList<Member> _members;
    private readonly int _forgetCount;

    private MembershipScores(IReadOnlyList<Member> members, int forgetCount) => (_members, _forgetCount) = (members, forgetCount);

    /// <summary>The texts to score, with the model's distribution at each token.</summary>
    public IReadOnlyList<ScoredSequence> Sequences => [.. _members.Select(member => member.Sequence)];

    /// <summary>
    /// Prepares both sets. Of a question the answer is scored, given the prompt; of a plain text all tokens but the first. Texts are cut to
    /// the model's positions.
    /// </summary>
    public static MembershipScores Of(
        IReadOnlyList<CorpusRecord> forget,
        IReadOnlyList<CorpusRecord> holdout,
        PromptEncoder prompts,
        int maxLength,
        string suite,
        IRunLog log
    )
    {
        List<Member> members = [.. forget.Concat(holdout).Select(record => Of(record, prompts, maxLength))];
        var cut = members.Count(member => member.Sequence.Tokens.Length == maxLength);
        if (cut > 0)
            log.Information(
                $"{suite}: {cut} of {members.Count} texts reach the model's {maxLength} positions; what is longer is cut there"
            );
        return new MembershipScores(members, forget.Count);
    }

    private static Member Of(CorpusRecord record, PromptEncoder prompts, int maxLength)
    {
        if (record.Text is { } text)
        {
            var tokens = prompts.Tokenizer.Encode(text);
            if (tokens.Length < 2)
                throw new UserInputException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"line {record.Line}: the text has {tokens.Length} token(s); membership inference needs at least two. Remove the "
                            + $"record."
                    )
                );
            return new Member(new ScoredSequence(tokens[..Math.Min(tokens.Length, maxLength)], 1), text, false);
        }

        var sequence = ScoredSequence.Of(prompts.Encode(record));
        var isClosed = prompts.IsClosed(sequence.Tokens);
        return new Member(sequence, record.Answer!, isClosed);
    }

    /// <summary>The scores of every attack on every example of both sets.</summary>
    public Dictionary<string, IReadOnlyList<double>> Examples(IReadOnlyList<TokenScores> scores)
    {
        double[][] values = [.. _members.Select((member, i) => Scores(member, scores[i]))];
        Dictionary<string, IReadOnlyList<double>> examples = [];
        for (var attack = 0; attack < Attacks.Count; attack++)
        {
            examples[$"{Attacks[attack]} forget"] = [.. values.Take(_forgetCount).Select(value => value[attack])];
            examples[$"{Attacks[attack]} holdout"] = [.. values.Skip(_forgetCount).Select(value => value[attack])];
        }

        return examples;
    }

    private static double[] Scores(Member member, TokenScores scores)
    {
        var count = scores.LogProbabilities.Length - (member.IsClosed ? 1 : 0); // min-k and min-k++ leave the end of text out
        var loss = AnswerProbability.Loss(scores.LogProbabilities);
        TokenStatistics[] statistics =
        [
            .. Enumerable
                .Range(0, count)
                .Select(t => new TokenStatistics(scores.LogProbabilities[t], scores.Means[t], scores.Variances[t], 0, 0)),
        ];
        return
        [
            loss,
            MembershipInference.ZlibRatio(loss, member.Text),
            MembershipInference.MinK(scores.LogProbabilities.AsSpan(0, count)),
            MembershipInference.MinKPlusPlus(statistics),
        ];
    }

    /// <summary>The AUC of every attack with its bootstrap interval.</summary>
    public static IEnumerable<(string Name, MetricValue Value)> Aucs(IReadOnlyDictionary<string, IReadOnlyList<double>> examples, long seed)
    {
        foreach (var attack in Attacks)
        {
            double[] forget = [.. examples[$"{attack} forget"]],
                holdout = [.. examples[$"{attack} holdout"]];
            var interval = Bootstrap.Of([forget.Length, holdout.Length], seed, drawn =>
                MembershipInference.Auc(Drawn(forget, drawn[0]), Drawn(holdout, drawn[1]))
            );
            yield return (
                attack,
                new MetricValue(
                    MembershipInference.Auc(forget, holdout),
                    interval?.Low,
                    interval?.High,
                    Metric.CloserToHalf,
                    null,
                    forget.Length + holdout.Length,
                    $"AUC = P(holdout score > forget score) + half of ties, score = {Score(attack)}; 1: the forget set is plainly known, "
                        + $"0.5: as if never seen, below: it stands out as over-forgotten"
                )
            );
        }
    }

    /// <summary>
    /// privleak = ((1 - AUC) - (1 - AUC of the reference)) / (1 - AUC of the reference) x 100 on min-k; without a reference its AUC is
    /// taken to be 0.5.
    /// </summary>
    public static (string Name, MetricValue Value) PrivacyLeakage(
        SuiteMeasurement measured,
        SuiteMeasurement? reference,
        string referenceName,
        long seed
    )
    {
        double[] forget = [.. measured.Examples[$"{MinK} forget"]], holdout = [.. measured.Examples[$"{MinK} holdout"]];
        var referenceAuc = reference?.Metrics[MinK].Value ?? 0.5;
        double Of(double[] one, double[] other) => MembershipInference.PrivacyLeakage(MembershipInference.Auc(one, other), referenceAuc);
        var interval = Bootstrap.Of([forget.Length, holdout.Length], seed, drawn => Of(Drawn(forget, drawn[0]), Drawn(holdout, drawn[1])));
        return (
            "privleak",
            new MetricValue(
                Of(forget, holdout),
                interval?.Low,
                interval?.High,
                Metric.CloserToZero,
                reference is null ? null : 0,
                forget.Length + holdout.Length,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"(a - b) / b x 100, a = 1 - AUC of min-k ({MembershipInference.DefaultShare}) of this model, b = 1 - AUC of "
                        + $"{(reference is null ? "a model that cannot tell, 0.5 (no --reference)" : referenceName)} = "
                        + $"{1 - referenceAuc:0.####}; above 0 over-unlearned, below 0 under-unlearned; the reference's sampling is not "
                        + $"in the interval"
                )
            )
        );
    }

    private static string Score(string attack) =>
        attack switch
        {
            "mia_loss" => "mean loss per token",
            "mia_zlib" => "mean loss over bytes of the zlib-compressed text",
            MinK => string.Create(
                CultureInfo.InvariantCulture,
                $"minus the mean of the {MembershipInference.DefaultShare * 100:0} % lowest log-probabilities"
            ),
            _ => string.Create(
                CultureInfo.InvariantCulture,
                $"the same of (log p - mean) / standard deviation under the model's own distribution"
            ),
        };

    private static double[] Drawn(double[] values, int[] indices) => [.. indices.Select(i => values[i])];
}
