using Falcon.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Runs.Evaluating;

/// <summary>
/// The residual streams after the last layer of texts, one text at a time. A model in memory runs each text by itself; one that is read
/// layer by layer runs as many texts together as fit into <see cref="GroupBytes"/> of hidden states. Owns the streams that are not taken
/// yet.
/// </summary>
/// <param name="model">The model, borrowed.</param>
/// <param name="texts">Token ids of the texts.</param>
/// <param name="cancellation">Stops between layers.</param>
internal sealed class FinalStates(CausalLM model, IEnumerable<int[]> texts, CancellationToken cancellation) : IDisposable
{
    private const long GroupBytes = 256L << 20;

    private readonly IEnumerator<int[]> _texts = texts.GetEnumerator();
    private readonly Queue<(int[] Ids, Tensor Hidden)> _ready = [];
    private int[]? _next; // read, but it did not fit into the last group

    /// <summary>The next text: its token ids, and the stream [T, H] that the caller owns.</summary>
    /// <exception cref="InvalidOperationException">There is no further text.</exception>
    public (int[] Ids, Tensor Hidden) Take()
    {
        if (_ready.Count == 0) Fill();
        return _ready.Count > 0 ? _ready.Dequeue() : throw new InvalidOperationException("there is no further text");
    }

    private void Fill()
    {
        List<int[]> group = [];
        for (long bytes = 0; _next is not null || _texts.MoveNext();)
        {
            var ids = _next ?? _texts.Current;
            bytes += (long)ids.Length * model.Config.HiddenSize * model.DType.ElementSize();
            if (group.Count > 0 && (!model.IsStreamed || bytes > GroupBytes))
            {
                _next = ids;
                break;
            }

            _next = null;
            group.Add(ids);
        }

        var batches = group.Select(ids => new TokenBatch([ids], 0)).ToList();
        new LayerwisePass(model) { Cancellation = cancellation, HiddenBytes = GroupBytes }.Run(
            batches,
            model.Config.LayerCount - 1,
            (batch, hidden) => _ready.Enqueue((group[batch], hidden.squeeze(0).clone().DetachFromDisposeScope()))
        );
    }

    /// <summary>Releases what was not taken.</summary>
    public void Dispose()
    {
        foreach (var (_, hidden) in _ready) hidden.Dispose();
        _ready.Clear();
        _texts.Dispose();
    }
}
