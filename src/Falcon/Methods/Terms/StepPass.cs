using Falcon.Engine;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>
/// The forget or the retain texts of a step, and what the two models make of them. Everything is computed when a term first asks and then
/// kept, so that terms share passes. Owns what it computed.
/// </summary>
/// <param name="inputs">Models and settings.</param>
/// <param name="step">The step.</param>
/// <param name="texts">Its forget or retain texts, or a part of them.</param>
/// <param name="isForget">Whether they are the forget texts.</param>
public sealed class StepPass(TermInputs inputs, StepBatch step, TokenBatch texts, bool isForget) : IDisposable
{
    private (Tensor Updated, Tensor Frozen)? _states;
    private (Tensor Updated, Tensor Frozen)? _outputs;
    private Tensor? _normRatios;
    private Tensor? _answerLogits;
    private Tensor? _frozenAnswerLogits;
    private CausalLM? _model;
    private AnswerBatch? _answers;

    /// <summary>The step.</summary>
    public StepBatch Step => step;

    /// <summary>The texts, padded.</summary>
    public TokenBatch Texts => texts;

    /// <summary>Weights of the counted tokens [M] in losses of hidden states; null for 1.</summary>
    public Tensor? TokenWeights { get; internal set; }

    /// <summary>Positions that count in losses of hidden states [B, T], bool; null counts every position, padding included.</summary>
    public Tensor? Mask => inputs.Data.CountPadding ? null : texts.LossMask(inputs.Trained.Leaves[0].device);

    /// <summary>Hidden states at the target layer, updated with gradient, frozen without; both [B, T, H].</summary>
    public (Tensor Updated, Tensor Frozen) States =>
        _states ??= Keep(
            inputs.Plainly
                ? inputs.RequiredPasses.RunPlainly(texts, inputs.PaddingRows)
                : inputs.RequiredPasses.Run(texts, inputs.PaddingRows)
        );

    /// <summary>The counted rows of <see cref="States"/>, both [M, H] float32; they belong to the caller's scope.</summary>
    public (Tensor Updated, Tensor Frozen) Rows() => (TokenRows.Select(States.Updated, Mask), TokenRows.Select(States.Frozen, Mask));

    /// <summary>|updated| / |frozen| of every counted token [M], with gradient.</summary>
    public Tensor NormRatios
    {
        get
        {
            if (_normRatios is not null) return _normRatios;
            using var scope = NewDisposeScope();
            var (updated, frozen) = Rows();
            return _normRatios = Keep(updated.norm(1) / frozen.norm(1).clamp_min(1e-8));
        }
    }

    /// <summary>
    /// Logits of every real token, both [M, V]: of the updated model with gradient, of the frozen model or a teacher without.
    /// </summary>
    public (Tensor Updated, Tensor Frozen) Outputs => _outputs ??= Keep(inputs.RequiredPasses.RunToOutput(texts));

    /// <summary>The model in training.</summary>
    public CausalLM Model => _model ??= inputs.Trained.Updated(inputs.Frozen);

    /// <summary>The texts with their answers as labels.</summary>
    public AnswerBatch Answers => _answers ??= isForget ? step.ForgetAnswers() : step.RetainAnswers();

    /// <summary>Labels of <see cref="Answers"/> [B, T]; they belong to the caller's scope.</summary>
    public Tensor Labels() => Answers.Labels(inputs.Frozen.Device);

    /// <summary>Logits [B, T, V] of the model in training for <see cref="Answers"/>, with gradient.</summary>
    public Tensor AnswerLogits => _answerLogits ??= Keep(Answers.Logits(Model));

    /// <summary>The same of the unchanged model, without gradient.</summary>
    public Tensor FrozenAnswerLogits
    {
        get
        {
            if (_frozenAnswerLogits is not null) return _frozenAnswerLogits;
            using var noGrad = no_grad();
            return _frozenAnswerLogits = Keep(Answers.Logits(inputs.Frozen));
        }
    }

    /// <summary>NLL of the answers [B] float32 under the model in training.</summary>
    public Tensor AnswerNll() => ReferenceLosses.SequenceNll(AnswerLogits, Labels());

    /// <summary>CE of the answers' tokens under the model in training, a float32 scalar.</summary>
    public Tensor AnswerMeanNll() => ReferenceLosses.MeanNll(AnswerLogits, Labels());

    /// <summary>Releases what was computed; the graphs of losses keep what they need.</summary>
    public void Dispose()
    {
        foreach (var (updated, frozen) in new[] { _states, _outputs }.OfType<(Tensor, Tensor)>())
        {
            updated.Dispose();
            frozen.Dispose();
        }

        _normRatios?.Dispose();
        _answerLogits?.Dispose();
        _frozenAnswerLogits?.Dispose();
    }

    private static Tensor Keep(Tensor tensor) => tensor.DetachFromDisposeScope();

    private static (Tensor Updated, Tensor Frozen) Keep((Tensor Updated, Tensor Frozen) pair) => (Keep(pair.Updated), Keep(pair.Frozen));
}
