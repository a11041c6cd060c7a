using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Task arithmetic: the steps teach the model the forget set, L = CE_f; after them theta = theta_0 - alpha (theta_taught - theta_0).
/// Source: Ilharco et al., Editing Models with Task Arithmetic (ICLR 2023).
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class TaskVector(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    /// <inheritdoc/>
    protected override Tensor ForgetLoss(CausalLM model, StepBatch batch) => batch.ForgetAnswers().MeanNll(model);

    /// <summary>None: alpha is the length of the vector.</summary>
    protected override Tensor? RetainLoss(CausalLM model, StepBatch batch) => null;

    /// <inheritdoc/>
    public override void Finish()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        foreach (var (name, master) in Trained.ByName)
        {
            using var parameterScope = NewDisposeScope();
            var taught = master.Whole();
            var start = Frozen.Weight(name).to(float32);
            Trained.Load(name, start - (taught - start) * (double)Settings.Alpha!);
        }
    }
}
