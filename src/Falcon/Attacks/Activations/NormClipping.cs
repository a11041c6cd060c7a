using Falcon.Attacks.Protocol;
using Falcon.Results;
using static TorchSharp.torch;

namespace Falcon.Attacks.Activations;

/// <summary>
/// Clips the length of the residual stream, h' = h min(1, c m / |h|), where m is the median length after that layer on retain texts.
/// Methods that steer hidden states of forget texts to a distant target make them long. If the answers come back once the length is
/// clipped, they were still in the direction.
/// </summary>
internal sealed class NormClipping : Attack
{
    public override string Name => "norm-clipping";

    public override AttackTier Tier => AttackTier.Activations;

    public override string Definition =>
        "Residual states shortened to a multiple of their median length on retain texts, after every layer.";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        double[] factors = settings.Budget == AttackBudget.Quick ? [0.8, 1, 1.25] : [0.6, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2];
        using var retain = ResidualStates.Read(subject.Loaded, settings.Sample(data.RetainTexts, 64, "retain texts"), data, settings);
        var layers = Enumerable.Range(0, subject.Loaded.Model.Config.LayerCount);
        double[] medians = [.. layers.Select(layer => MedianLength(retain.After(layer)))];
        List<(string, Func<ScoringPass>)> strengths =
        [
            .. factors.Select(factor =>
                (
                    $"at {StrengthChoice.Text(factor)} of the median",
                    (Func<ScoringPass>)(
                        () =>
                            new ScoringPass
                            {
                                AfterLayer = (layer, hidden) => ResidualDirections.ClipNorms(hidden, factor * medians[layer]),
                            }
                    )
                )
            ),
        ];
        return StrengthWithinUtility.Best(strengths, subject.Loaded, data, settings);
    }

    private static double MedianLength(Tensor states)
    {
        using var scope = NewDisposeScope();
        return states.norm(-1, false, 2f).median().item<float>();
    }
}
