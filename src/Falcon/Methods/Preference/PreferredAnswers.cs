using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Preference;

/// <summary>The preference of other answers to the forget prompts over the forget answers, relative to the unchanged model.</summary>
/// <param name="inputs">The unchanged model.</param>
/// <param name="beta">Sharpness of the preference.</param>
internal sealed class PreferredAnswers(TermInputs inputs, double beta)
{
    private readonly ReferenceNll _reference = new(inputs.Frozen, inputs.PadId);

    /// <summary><see cref="ReferenceLosses.Dpo"/> of a step, a float32 scalar.</summary>
    /// <param name="pass">The forget texts.</param>
    /// <param name="preferred">For each of them its prompt with another answer. The texts are told apart by identity.</param>
    public Tensor Loss(StepPass pass, IReadOnlyList<int[]> preferred)
    {
        var instead = new AnswerBatch(preferred, pass.Answers.AnswerFrom, pass.Step.PadId);
        return ReferenceLosses.Dpo(
            instead.Nll(pass.Model),
            _reference.Of(instead),
            pass.AnswerNll(),
            _reference.Of(pass.Answers),
            beta
        );
    }
}
