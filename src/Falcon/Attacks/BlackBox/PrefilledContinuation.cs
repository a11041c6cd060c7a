using Falcon.Attacks.Protocol;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Results;
using Falcon.Tokenization;

namespace Falcon.Attacks.BlackBox;

/// <summary>
/// Gives the model the first words of the answer, as far as all choices share them, and scores whether its greedy continuation is exactly
/// the rest of the right answer.
/// </summary>
internal sealed class PrefilledContinuation : Attack
{
    public override string Name => "prefilled-continuation";

    public override AttackTier Tier => AttackTier.BlackBox;

    public override string Definition =>
        "The opening words that all choices share are given; 1 where every further token of the right answer is then the most likely one "
            + "(extraction by prefix, Carlini et al. 2021, arXiv 2012.07805).";

    public override string BaselineName => "exact-answer";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings) =>
        new(Exact(subject, data, settings, opened: true), "the words that all choices share");

    public override AttackScores Baseline(AttackSubject subject, AttackData data, AttackSettings settings) =>
        new(Exact(subject, data, settings, opened: false), "none");

    private static double[] Exact(AttackSubject subject, AttackData data, AttackSettings settings, bool opened)
    {
        var prompts = new PromptEncoder(subject.Loaded.Tokenizer, data.PromptForm);
        List<ScoredSequence> sequences =
        [
            .. data.Test.Select(item =>
            {
                var shared = opened ? Prefilling.SharedWords(item.Choices) : 0;
                var asked = new AskedQuestion(item.Question) { Opening = item.Answer[..shared].TrimEnd() };
                return ScoredSequence.Of(prompts.Encode(asked, shared == 0 ? item.Answer : item.Answer[shared..].TrimStart()));
            }),
        ];
        return
        [
            .. subject
                .Loaded.Score(sequences, "prefilled continuation", settings.Log, settings.Cancellation)
                .Select(score => score.Hits.All(hit => hit) ? 1.0 : 0.0),
        ];
    }
}
