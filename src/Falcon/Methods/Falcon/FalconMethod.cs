using Falcon.Methods.Terms;
using Falcon.Runs.Configuration;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// FALCON as a step of the trainer: <see cref="FalconObjective"/> with the topic's offset vector and retain weight. Source: Hu et al.,
/// NeurIPS 2025.
/// </summary>
/// <param name="objective">The two losses.</param>
/// <param name="offsets">Principal offset vectors; owned from now on.</param>
/// <param name="settings">Retain weights.</param>
/// <param name="levels">For each topic the answer loss at which a text counts as forgotten; null for no bound.</param>
/// <param name="shared">What the forget gradients leave alone, owned from now on; null for nothing.</param>
/// <param name="unchanged">
/// The retain loss of the unchanged model without its weight, see <see cref="FalconObjective.UnchangedRetainLoss"/>.
/// </param>
public sealed class FalconMethod(
    FalconObjective objective,
    OffsetVectors offsets,
    LossConfig settings,
    IReadOnlyList<double?>? levels = null,
    RetainDirections? shared = null,
    double unchanged = 0
) : Objective
{
    /// <inheritdoc/>
    public override ObjectiveGradients Gradients(StepBatch batch)
    {
        var weight = settings.RetainWeight[settings.RetainWeight.Count == 1 ? 0 : batch.Scheduled.Topic];
        var gradients = objective.Gradients(
            batch.Forget,
            batch.Retain,
            Offset(batch),
            weight,
            batch.Generator,
            levels?[batch.Scheduled.Topic]
        );
        if (shared is not null)
            gradients = gradients with { Forget = shared.Remove(gradients.Forget) };
        return gradients with { Drift = weight > 0 ? gradients.RetainLoss / weight - unchanged : null };
    }

    /// <inheritdoc/>
    public override Tensor CurvatureLogits(StepBatch batch) => objective.ContrastiveLogits(batch.Forget, Offset(batch), batch.Generator);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            offsets.Dispose();
            shared?.Dispose();
        }

        base.Dispose(disposing);
    }

    private Tensor Offset(StepBatch batch) => offsets.At(batch.Scheduled.Step, batch.Scheduled.Topic);
}
