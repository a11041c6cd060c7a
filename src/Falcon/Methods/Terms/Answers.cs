using System.Text.Json.Serialization;
using Falcon.Engine;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary><c>answers</c>: the cross-entropy of the retain answers, CE_r; of plain text that of all tokens but the first.</summary>
public sealed record Answers : RetainTerm
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override RetainLoss Build(TermInputs inputs) => new AnswersLoss();

    private sealed class AnswersLoss : RetainLoss
    {
        public override Tensor Loss(StepPass pass) => pass.AnswerMeanNll();
    }
}
