using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Gradients;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary><c>answers</c>: the cross-entropy of the forget answers, CE_f. It fine-tunes the model on them.</summary>
public sealed record ForgetAnswers : ForgetTerm
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new TeachingLoss();

    private sealed class TeachingLoss : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) => pass.AnswerMeanNll();
    }
}

/// <summary><c>negation</c>: theta becomes theta_0 - scale (theta - theta_0).</summary>
public sealed record Negation : WeightEdit
{
    /// <summary>How far to go against the task vector ("alpha").</summary>
    [Range(0, double.MaxValue)]
    public double Scale { get; init; } = 5;

    /// <inheritdoc/>
    public override void Apply(TermInputs inputs)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        foreach (var (name, master) in inputs.Trained.ByName)
        {
            using var parameterScope = NewDisposeScope();
            var taught = master.Whole();
            var start = inputs.Frozen.Weight(name).to(float32);
            inputs.Trained.Load(name, start - (taught - start) * Scale);
        }
    }
}

/// <summary>Task arithmetic.</summary>
internal static class TaskVector
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "task-vector",
            "Task arithmetic: the steps teach the model the forget set, L = CE_f; after them theta = theta_0 - alpha (theta_taught - "
                + "theta_0).",
            "Ilharco et al., Editing Models with Task Arithmetic (ICLR 2023)",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new ForgetAnswers()], Edits = [new Negation()] }),
            PublishedSettings.RatesAndStrength("alpha", "objective.edits.negation.scale", 2, 0.7)
        );
}
