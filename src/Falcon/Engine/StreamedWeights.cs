using System.Collections;
using System.Diagnostics.CodeAnalysis;
using Falcon.Checkpoints;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Engine;

/// <summary>
/// The weights of a checkpoint, read when they are asked for and released when another part of the model is: one layer, the embedding, or
/// final norm and head in memory at a time. A model over them computes the same as one in memory, for the price of reading; whoever runs
/// many batches should therefore go layer by layer (<see cref="LayerwisePass"/>).
/// </summary>
/// <param name="checkpoint">The checkpoint, borrowed; it must stay open.</param>
/// <param name="dtype">Compute dtype.</param>
/// <param name="device">Where the weights are computed with.</param>
[SuppressMessage("Naming", "CA1710", Justification = "weights are what the field calls them; the dictionary is how they are looked up")]
public sealed class StreamedWeights(Checkpoint checkpoint, ScalarType dtype, Device device)
    : IReadOnlyDictionary<string, Tensor>,
        IDisposable
{
    private readonly Dictionary<int, List<string>> _parts = WeightNames
        .Expected(checkpoint.Config)
        .GroupBy(item => WeightNames.LayerOf(item.Name))
        .ToDictionary(group => group.Key, group => group.Select(item => item.Name).ToList());
    private readonly HashSet<string> _names = [.. WeightNames.Expected(checkpoint.Config).Select(item => item.Name)];
    private readonly Dictionary<string, Tensor> _resident = [];
    private int? _part;

    /// <summary>Compute dtype.</summary>
    public ScalarType DType => dtype;

    /// <summary>Where the weights are computed with.</summary>
    public Device Device => device;

    /// <inheritdoc/>
    public IEnumerable<string> Keys => _names;

    /// <inheritdoc/>
    public IEnumerable<Tensor> Values => _names.Select(name => this[name]);

    /// <inheritdoc/>
    public int Count => _names.Count;

    /// <summary>A weight, borrowed and valid until a weight of another part is asked for.</summary>
    /// <exception cref="KeyNotFoundException">The model has no such tensor.</exception>
    public Tensor this[string key] =>
        TryGetValue(key, out var tensor) ? tensor : throw new KeyNotFoundException($"the model has no tensor \"{key}\"");

    /// <inheritdoc/>
    public bool ContainsKey(string key) => _names.Contains(key);

    /// <inheritdoc/>
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out Tensor value)
    {
        value = null;
        if (!_names.Contains(key)) return false;
        var part = WeightNames.LayerOf(key);
        if (_part != part)
        {
            Release();
            foreach (var name in _parts[part]) _resident.Add(name, checkpoint.Load(name, dtype, device));
            _part = part;
        }

        value = _resident[key];
        return true;
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, Tensor>> GetEnumerator() =>
        _names.Select(name => KeyValuePair.Create(name, this[name])).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Releases what is in memory; a later use reads again.</summary>
    public void Release()
    {
        foreach (var tensor in _resident.Values) tensor.Dispose();
        _resident.Clear();
        _part = null;
    }

    /// <summary>Releases what is in memory.</summary>
    public void Dispose() => Release();
}
