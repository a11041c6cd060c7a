using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Engine;

/// <summary>
/// The frozen model's activations for every text of a run, computed once: the residual stream before the first trained matrix, and the
/// residual stream at the target layer. Where the lowest layer trains only its down projection, the input of that projection is kept too.
/// Activations stay in memory up to a budget, and the rest goes to a file. An <see cref="ActivationStore"/> keeps that file for later runs.
/// </summary>
/// <remarks>
/// Activations are kept in the compute dtype: the numbers are those that a pass would compute again, so nothing is rounded twice. With
/// padding on the right, a text's activations do not depend on its neighbours in a batch, so each text is kept by itself. With padding on
/// the left, whose positions count in the published code, a batch is kept as a whole. The texts run in one fixed order and grouping, so the
/// same run always keeps the same bits. The key is the tokens themselves. Everything else that the values depend on (weights, dtype,
/// layers) is fixed for the life of the cache, and is part of the hash by which a store identifies its files.
/// </remarks>
public sealed class ActivationCache : IDisposable
{
    private const int TokensPerBatch = 2048;

    private readonly Dictionary<int[], Kept> _kept = new(TokenSequence.Comparer);
    private readonly ScratchFile? _file;
    private readonly bool _ownsFile;
    private readonly long _memoryBudget;
    private readonly ScalarType _dtype;
    private readonly Device _device;

    private ActivationCache(CausalLM frozen, long memoryBudget, ScratchFile? file, bool ownsFile) =>
        (_dtype, _device, _memoryBudget, _file, _ownsFile) = (frozen.DType, frozen.Device, memoryBudget, file, ownsFile);

    /// <summary>Bytes kept in memory.</summary>
    public long MemoryBytes { get; private set; }

    /// <summary>Bytes kept in the file.</summary>
    public long FileBytes { get; private set; }

    /// <summary>Whether they were read from a store, where an earlier run had kept them.</summary>
    public bool WasStored { get; private init; }

    /// <summary>Bytes that the activations of a token take.</summary>
    public static long BytesPerToken(ModelConfig model, bool startsAtDownProjection, ScalarType dtype) =>
        (2L * model.HiddenSize + (startsAtDownProjection ? model.IntermediateSize : 0)) * TensorBytes.ElementSize(dtype);

    /// <summary>Runs the frozen model over all batches that a run will visit.</summary>
    /// <param name="frozen">The unchanged model, in memory or streamed.</param>
    /// <param name="parts">Which activations.</param>
    /// <param name="batches">The batches of the run; texts and batches that come again are kept once.</param>
    /// <param name="padId">Padding id.</param>
    /// <param name="memoryBudget">Bytes that may be kept in memory.</param>
    /// <param name="file">Where the rest goes, borrowed; null keeps all in memory.</param>
    /// <param name="progress">Called with the share of the work that is done.</param>
    /// <param name="store">
    /// Where to look for an earlier run's activations and to keep the new ones; null for neither. It replaces <paramref name="file"/>.
    /// </param>
    /// <param name="cancellation">Stops between layers.</param>
    /// <exception cref="UserInputException">The store's directory cannot be written to.</exception>
    public static ActivationCache Fill(
        CausalLM frozen,
        CacheParts parts,
        IEnumerable<TokenBatch> batches,
        int padId,
        long memoryBudget,
        ScratchFile? file,
        Action<double>? progress = null,
        ActivationStore? store = null,
        CancellationToken cancellation = default
    )
    {
        var (units, keys) = Units(batches, padId);
        var key = store?.KeyOf(parts, frozen, units);
        if (key is not null && store!.Find(key) is { } stored) return Read(stored, frozen, keys, units, memoryBudget);
        var cache = new ActivationCache(frozen, memoryBudget, key is null ? file : store!.Create(key), ownsFile: key is not null);
        try
        {
            var middle = new Tensor[units.Count];
            var inner = new Tensor?[units.Count];
            var pass = new LayerwisePass(frozen)
            {
                Cancellation = cancellation,
                Progress = done => progress?.Invoke(done / units.Count),
                Step = (layer, unit, hidden, context) =>
                {
                    if (layer != parts.Lowest) return frozen.Layer(layer, hidden, context);
                    using var scope = NewDisposeScope();
                    if (!parts.StartsAtDownProjection)
                    {
                        cache.Keep(keys[unit], units[unit], [hidden]);
                        return frozen.Layer(layer, hidden, context).MoveToOuterDisposeScope();
                    }

                    var (start, input) = frozen.BeforeDownProjection(layer, hidden, context);
                    cache.Keep(keys[unit], units[unit], [start, input]);
                    return frozen.DownProjection(layer, start, input).MoveToOuterDisposeScope();
                },
            };
            pass.Run(units, parts.Target, (unit, hidden) => cache.Keep(keys[unit], units[unit], [hidden]));
            if (key is not null) store!.Commit(key, cache.Entries(keys));
            return cache;
        }
        catch
        {
            cache.Dispose();
            if (key is not null) store!.Discard(key);
            throw;
        }
    }

    /// <summary>
    /// The activations of a batch: start [B, T, H], input of the lowest down projection [B, T, I] or null, and target [B, T, H]; zero where
    /// a row is padded on the right.
    /// </summary>
    /// <exception cref="KeyNotFoundException">The batch holds a text that the cache was not filled with.</exception>
    public (Tensor Start, Tensor? Inner, Tensor Frozen) Read(TokenBatch batch)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        List<Tensor> parts =
            batch.Side == PaddingSide.Left && batch.IsPadded ? Tensors(_kept[TokenSequence.Of(batch)], batch.Rows) : Padded(batch);
        var moved = parts.Select(part => part.MoveToOuterDisposeScope()).ToList();
        return (moved[0], moved.Count == 3 ? moved[1] : null, moved[^1]);
    }

    // The places of all activations in the file, in the order of the texts.
    private List<StoredActivations> Entries(List<int[][]> keys) =>
        [
            .. keys.SelectMany(unit => unit)
                .Select(key => new StoredActivations(
                    _kept[key].Length,
                    [.. _kept[key].Parts.Select(part => part.Place)],
                    [.. _kept[key].Parts.Select(part => part.Width)]
                )),
        ];

    private static ActivationCache Read(
        (ScratchFile File, IReadOnlyList<StoredActivations> Entries) stored,
        CausalLM frozen,
        List<int[][]> keys,
        List<TokenBatch> units,
        long memoryBudget
    )
    {
        var cache = new ActivationCache(frozen, memoryBudget, stored.File, ownsFile: true) { WasStored = true };
        var next = 0;
        for (var unit = 0; unit < units.Count; unit++)
            foreach (var key in keys[unit])
            {
                var entry = stored.Entries[next++];
                var rows = units[unit].Side == PaddingSide.Left && units[unit].IsPadded ? units[unit].Rows : 1;
                cache._kept.Add(
                    key,
                    new Kept(
                        entry.Length,
                        [.. entry.Places.Zip(entry.Widths, (place, width) => cache.Fetch(rows, entry.Length, place, width))]
                    )
                );
            }

        return cache;
    }

    // Reads a part into memory while the budget allows; otherwise it stays in the file.
    private Part Fetch(long rows, long length, long place, long width)
    {
        var bytes = rows * length * width * TensorBytes.ElementSize(_dtype);
        if (MemoryBytes + bytes > _memoryBudget)
        {
            FileBytes += bytes;
            return new Part(null, place, width);
        }

        using var scope = NewDisposeScope();
        MemoryBytes += bytes;
        var read = empty([rows, length, width], _dtype);
        _file!.Read(place, read.bytes);
        return new Part(read.to(_device).DetachFromDisposeScope(), place, width);
    }

    private List<Tensor> Padded(TokenBatch batch)
    {
        List<Tensor> whole = [];
        for (var row = 0; row < batch.Rows; row++)
        {
            using var scope = NewDisposeScope();
            var parts = Tensors(_kept[batch.Sequences[row]], 1); // each [1, t, W]
            for (var i = 0; i < parts.Count; i++)
            {
                if (row == 0) whole.Add(zeros([batch.Rows, batch.Length, parts[i].shape[2]], _dtype, _device).MoveToOuterDisposeScope());
                whole[i][row].narrow(0, 0, parts[i].shape[1]).copy_(parts[i][0]);
            }
        }

        return whole;
    }

    private List<Tensor> Tensors(Kept kept, int rows)
    {
        List<Tensor> parts = [];
        foreach (var part in kept.Parts)
        {
            if (part.InMemory is { } tensor)
            {
                parts.Add(tensor.alias());
                continue;
            }

            var read = empty([rows, kept.Length, part.Width], _dtype);
            _file!.Read(part.Place, read.bytes);
            parts.Add(read.to(_device));
        }

        return parts;
    }

    // Distinct texts in order of length, in batches of a fixed size; left-padded batches as they are.
    private static (List<TokenBatch> Units, List<int[][]> Keys) Units(IEnumerable<TokenBatch> batches, int padId)
    {
        List<TokenBatch> units = [];
        List<int[][]> keys = [];
        HashSet<int[]> seen = new(TokenSequence.Comparer);
        List<int[]> texts = [];
        foreach (var batch in batches)
        {
            if (batch.Side == PaddingSide.Left && batch.IsPadded)
            {
                var key = TokenSequence.Of(batch);
                if (!seen.Add(key)) continue;
                units.Add(batch);
                keys.Add([key]);
            }
            else
            {
                texts.AddRange(batch.Sequences.Where(seen.Add));
            }
        }

        int[][] ordered = [.. texts.OrderBy(text => text.Length).ThenBy(text => text, TokenSequence.Order)];
        for (var begin = 0; begin < ordered.Length; begin += keys[^1].Length)
        {
            var end = begin + 1;
            while (end < ordered.Length && (end - begin + 1) * ordered[end].Length <= TokensPerBatch) end++;
            keys.Add(ordered[begin..end]);
            units.Add(new TokenBatch(ordered[begin..end], padId));
        }

        return (units, keys);
    }

    private void Keep(int[][] keys, TokenBatch unit, Tensor[] tensors)
    {
        using var scope = NewDisposeScope();
        var whole = unit.Side == PaddingSide.Left && unit.IsPadded;
        for (var row = 0; row < keys.Length; row++)
        {
            var length = whole ? unit.Length : keys[row].Length;
            if (!_kept.TryGetValue(keys[row], out var kept)) _kept.Add(keys[row], kept = new Kept(length, []));
            foreach (var tensor in tensors) kept.Parts.Add(Keep(whole ? tensor : tensor.narrow(0, row, 1).narrow(1, 0, length)));
        }
    }

    private Part Keep(Tensor values)
    {
        using var scope = NewDisposeScope();
        var (bytes, width) = (values.numel() * values.ElementSize, values.shape[2]);
        var fits = _file is null || MemoryBytes + bytes <= _memoryBudget;
        long place = 0;
        if (_ownsFile || !fits)
        {
            place = _file!.Reserve(bytes);
            _file.Write(place, values.cpu().contiguous().bytes);
        }

        if (fits) MemoryBytes += bytes;
        else FileBytes += bytes;
        return new Part(fits ? values.clone().DetachFromDisposeScope() : null, place, width);
    }

    /// <summary>Releases what is in memory, and closes the file of a store.</summary>
    public void Dispose()
    {
        foreach (var part in _kept.Values.SelectMany(kept => kept.Parts)) part.Dispose();
        _kept.Clear();
        if (_ownsFile) _file?.Dispose();
    }

    private sealed record Part(Tensor? InMemory, long Place, long Width) : IDisposable
    {
        public void Dispose() => InMemory?.Dispose();
    }

    private sealed record Kept(int Length, List<Part> Parts);
}
