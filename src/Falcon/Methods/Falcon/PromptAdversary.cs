using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// <c>promptAdversary</c>: an adversary that puts vectors in front of every forget text at the input of the lowest trained layer, like a
/// soft prompt. It finds them by gradient ascent on the forget loss of hidden states. The loss of the texts with the vectors in front
/// counts as much as the loss of the texts alone, so that forgetting does not depend on the exact form of a prompt. After latent
/// adversarial training (Casper et al., arXiv 2403.05030).
/// </summary>
public sealed record PromptAdversary : ForgetTerm
{
    /// <summary>Number of vectors.</summary>
    [Range(1, 256)]
    public int Vectors { get; init; } = 8;

    /// <summary>
    /// Gradient steps of the adversary. It starts from the states of random tokens of the batch; 0 keeps these as they are.
    /// </summary>
    [Range(0, 100)]
    public int Steps { get; init; } = 2;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates;

    /// <inheritdoc/>
    public override IEnumerable<string> Faults(TermUse use)
    {
        if (use.Engine.Path == EnginePath.Plain) yield return "the term needs engine.path=shared";
        if (use.Data.CountPadding) yield return "the term needs data.countPadding=false";
        if (!use.Objective.Forget.OfType<Contrastive>().Any()) yield return "the term needs the forget term contrastive beside it";
    }

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new Adversary(this, inputs.RequiredPasses);

    private sealed class Adversary(PromptAdversary settings, LayerPasses passes) : AdversaryLoss
    {
        private const double Step = 0.5; // of the mean norm

        public override (Tensor Updated, Tensor Frozen) Attack(StatesLoss loss, StepPass pass) =>
            passes.RunBehind(pass.Texts, Find(loss, pass));

        // The prompt [P, H] by normalised gradient ascent from states of random tokens; no gradient.
        private Tensor Find(StatesLoss loss, StepPass pass)
        {
            using var scope = NewDisposeScope();
            var found = passes.RandomStates(pass.Texts, settings.Vectors, pass.Step.Generator).to(float32);
            for (var i = 0; i < settings.Steps; i++)
            {
                using var inner = NewDisposeScope();
                var leaf = found.detach().requires_grad_();
                var (updated, frozen) = passes.RunBehind(pass.Texts, leaf);
                var height = loss.At(updated, frozen, pass, weighted: false);
                using var guard = no_grad();
                var direction = nn.functional.normalize(autograd.grad([height], [leaf])[0], p: 2, dim: -1, eps: 1e-20);
                found = (leaf + Step * direction).detach().MoveToOuterDisposeScope();
            }

            return found.MoveToOuterDisposeScope();
        }
    }
}
