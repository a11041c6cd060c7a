using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>The keys and values of the tokens seen so far, for generation token by token. Owns its tensors.</summary>
/// <param name="layers">Number of decoder layers.</param>
public sealed class KeyValueCache(int layers) : IDisposable
{
    private readonly Tensor?[] _keys = new Tensor?[layers];
    private readonly Tensor?[] _values = new Tensor?[layers];

    /// <summary>
    /// Appends the keys and values [B, A, T, D] of one layer and returns all of the layer's so far, borrowed until the next call.
    /// </summary>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor key, Tensor value) =>
        (Grow(_keys, layer, key), Grow(_values, layer, value));

    /// <summary>Keeps only the rows of the batch whose indices are given [B'], in that order.</summary>
    public void Select(Tensor rows)
    {
        foreach (var store in (Tensor?[][])[_keys, _values])
            for (var layer = 0; layer < store.Length; layer++)
            {
                var old = store[layer];
                store[layer] = old?.index_select(0, rows).DetachFromDisposeScope();
                old?.Dispose();
            }
    }

    /// <summary>Empties the cache.</summary>
    public void Clear()
    {
        Dispose();
        Array.Clear(_keys);
        Array.Clear(_values);
    }

    private static Tensor Grow(Tensor?[] store, int layer, Tensor added)
    {
        var old = store[layer];
        var grown = (old is null ? added.clone() : cat([old, added], 2)).DetachFromDisposeScope();
        old?.Dispose();
        store[layer] = grown;
        return grown;
    }

    /// <summary>Releases every tensor.</summary>
    public void Dispose()
    {
        foreach (var tensor in _keys) tensor?.Dispose();
        foreach (var tensor in _values) tensor?.Dispose();
    }
}
