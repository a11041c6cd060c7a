using System.Collections;
using System.Diagnostics.CodeAnalysis;
using Falcon.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>
/// Weights that are read when they are asked for and released when another part of the model is needed: one layer, the embedding, or the
/// final norm with the output head is in memory at a time. A model over them computes the same as one in memory, but reads its weights
/// again on every pass; to run many batches, go layer by layer (<see cref="LayerwisePass"/>).
/// </summary>
[SuppressMessage("Naming", "CA1710", Justification = "weights are what the field calls them; the dictionary is how they are looked up")]
public sealed class StreamedWeights : IReadOnlyDictionary<string, Tensor>, IDisposable
{
    private readonly Func<string, Tensor> _load;
    private readonly Dictionary<int, List<string>> _parts;
    private readonly HashSet<string> _names;
    private readonly Dictionary<string, Tensor> _resident = [];
    private int? _part;

    /// <summary>Weights of a model; nothing is read yet.</summary>
    /// <param name="config">The architecture, which says which tensors there are.</param>
    /// <param name="load">Reads one tensor by its name, in <paramref name="dtype"/> and on <paramref name="device"/>.</param>
    /// <param name="dtype">Compute dtype.</param>
    /// <param name="device">Where the layers compute.</param>
    public StreamedWeights(ModelConfig config, Func<string, Tensor> load, ScalarType dtype, Device device)
    {
        (_load, DType, Device) = (load, dtype, device);
        var names = WeightNames.Expected(config).Select(item => item.Name).ToList();
        _parts = names.GroupBy(WeightNames.LayerOf).ToDictionary(part => part.Key, part => part.ToList());
        _names = [.. names];
    }

    /// <summary>Compute dtype.</summary>
    public ScalarType DType { get; }

    /// <summary>Where the layers compute.</summary>
    public Device Device { get; }

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
            foreach (var name in _parts[part]) _resident.Add(name, _load(name));
            _part = part;
        }

        value = _resident[key];
        return true;
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, Tensor>> GetEnumerator() =>
        _names.Select(name => KeyValuePair.Create(name, this[name])).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Releases what is in memory; the next use reads it again.</summary>
    public void Release()
    {
        foreach (var tensor in _resident.Values) tensor.Dispose();
        _resident.Clear();
        _part = null;
    }

    /// <summary>Releases what is in memory.</summary>
    public void Dispose() => Release();
}
