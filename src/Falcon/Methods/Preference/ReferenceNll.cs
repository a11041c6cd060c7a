using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Preference;

/// <summary>
/// NLL of answers under the unchanged model, one number a text, computed when the text is first met and kept.
/// Every text is scored by itself, so that its number does not depend on which batch it was met in and a resumed run has the same ones.
/// </summary>
/// <param name="frozen">The unchanged model.</param>
/// <param name="padId">Padding id.</param>
internal sealed class ReferenceNll(CausalLM frozen, int padId)
{
    private readonly Dictionary<int[], float> _known = new(ReferenceEqualityComparer.Instance);

    /// <summary>The NLL of each text of a batch [B] float32. The texts are told apart by identity.</summary>
    public Tensor Of(AnswerBatch batch)
    {
        for (var i = 0; i < batch.Texts.Count; i++)
            if (!_known.ContainsKey(batch.Texts[i])) _known.Add(batch.Texts[i], Score(batch.Texts[i], batch.AnswerFrom[i]));
        return tensor(batch.Texts.Select(text => _known[text]).ToArray(), device: frozen.Device);
    }

    private float Score(int[] text, int answerFrom)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return new AnswerBatch([text], [answerFrom], padId).Nll(frozen).item<float>();
    }
}
