using Falcon.Attacks.Protocol;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Attacks.Weights;

/// <summary>
/// Sets to zero the weights that matter for forget texts but not for others: in each matrix those among the top share q by importance for
/// forget texts and not among the top share p by importance for other texts (Wei et al. 2024, arXiv 2402.05162; against unlearning: Lucki
/// et al. 2024, arXiv 2409.18025).
/// </summary>
internal sealed class SetDifferencePruning : Attack
{
    public override string Name => "set-difference-pruning";

    public override AttackTier Tier => AttackTier.Weights;

    public override string Definition =>
        "Weights salient for forget texts and not for retain texts set to zero, several shares q and p tried (arXiv 2402.05162).";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var loaded = subject.Loaded;
        var names = LayerMatrices.All(loaded.Model.Config);
        using var scope = NewDisposeScope();
        var forget = SaliencyPruning.Scores(
            loaded.Model,
            names,
            Calibration(loaded, data, data.ForgetTexts, settings),
            settings.Cancellation
        );
        var utility = SaliencyPruning.Scores(
            loaded.Model,
            names,
            Calibration(loaded, data, [.. data.RetainTexts, .. data.BenignTexts], settings),
            settings.Cancellation
        );
        List<(string, Func<ScoringPass>)> strengths =
        [
            .. Grid(settings)
                .Select(shares =>
                    (
                        $"q {StrengthChoice.Text(shares.Q)}, p {StrengthChoice.Text(shares.P)}",
                        (Func<ScoringPass>)(
                            () =>
                                new ScoringPass
                                {
                                    Model = Pruned(loaded.Model, names, name =>
                                        SaliencyPruning.SetDifference(forget[name], utility[name], shares.Q, shares.P)
                                    ),
                                }
                        )
                    )
                ),
        ];
        return StrengthWithinUtility.Best(strengths, loaded, data, settings);
    }

    /// <summary>The same shares of weights, chosen at random.</summary>
    public override AttackScores RunRandom(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var model = subject.Loaded.Model;
        List<(string, Func<ScoringPass>)> strengths =
        [
            .. Grid(settings)
                .Select(shares =>
                    (
                        $"q {StrengthChoice.Text(shares.Q)} at random",
                        (Func<ScoringPass>)(
                            () =>
                            {
                                using var generator = new Generator(Seeds.Derive(settings.Seed, "random weights"), model.Device);
                                return new ScoringPass
                                {
                                    Model = Pruned(model, LayerMatrices.All(model.Config), name =>
                                        rand(model.Weight(name).shape, float32, model.Device, generator: generator).lt(shares.Q)
                                    ),
                                };
                            }
                        )
                    )
                ),
        ];
        return StrengthWithinUtility.Best(strengths, subject.Loaded, data, settings);
    }

    private static CausalLM Pruned(CausalLM model, IReadOnlyList<string> names, Func<string, Tensor> mask)
    {
        using var guard = no_grad();
        Dictionary<string, Tensor> replaced = [];
        foreach (var name in names)
        {
            using var scope = NewDisposeScope();
            replaced[name] = model.Weight(name).masked_fill(mask(name), 0).MoveToOuterDisposeScope();
        }

        return model.With(replaced);
    }

    private static IReadOnlyList<ScoredSequence> Calibration(
        LoadedModel loaded,
        AttackData data,
        IReadOnlyList<AttackText> texts,
        AttackSettings settings
    )
    {
        var count = settings.Budget switch { AttackBudget.Quick => 32, AttackBudget.Standard => 128, _ => 512 };
        var prompts = new PromptEncoder(loaded.Tokenizer, data.PromptForm);
        return [.. settings.Sample(texts, count, "calibration").Select(text => text.Tokens(prompts))];
    }

    private static (double Q, double P)[] Grid(AttackSettings settings)
    {
        if (settings.Budget == AttackBudget.Quick)
            return [(0.005, 0.01), (0.01, 0.05), (0.025, 0.1), (0.05, 0.2)];
        double[] shares =
            settings.Budget == AttackBudget.Standard
                ? [0.005, 0.01, 0.025, 0.05, 0.1]
                : [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2];
        return [.. shares.SelectMany(q => shares.Where(p => p >= q).Select(p => (q, p)))];
    }
}
