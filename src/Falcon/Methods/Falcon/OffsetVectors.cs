using Falcon.Engine;
using Falcon.Models;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// The principal offset vectors of a run, all made from the unchanged model before the first step: one for each topic, or one for each step
/// as published. Owns them.
/// </summary>
public sealed class OffsetVectors : IDisposable
{
    private const int TextsPerTopic = 64;
    private const int TokensPerTopic = 8192;
    private const int TextsPerBatch = 8;

    private readonly Tensor[] _vectors;
    private readonly bool _perTopic;

    private OffsetVectors(Tensor[] vectors, OffsetDiagnostics[] diagnostics, bool perTopic) =>
        (_vectors, Diagnostics, _perTopic) = (vectors, diagnostics, perTopic);

    /// <summary>How each vector lies to the directions it was made from.</summary>
    public IReadOnlyList<OffsetDiagnostics> Diagnostics { get; }

    /// <summary>The vectors [R, H] of a step; borrowed.</summary>
    public Tensor At(int step, int topic) => _vectors[_perTopic ? topic : step];

    /// <summary>
    /// The vector of each text, from vectors [R, H]: the one of them that the text's tokens decide, [B, 1, H]; the one itself, [H], where R
    /// is 1.
    /// </summary>
    /// <param name="vectors">Vectors of a topic or step.</param>
    /// <param name="texts">The forget texts.</param>
    public static Tensor ForTexts(Tensor vectors, TokenBatch texts)
    {
        using var scope = NewDisposeScope();
        if (vectors.shape[0] == 1) return vectors[0].MoveToOuterDisposeScope();
        long[] chosen = [.. texts.Sequences.Select(text => (long)(Hash(text) % (ulong)vectors.shape[0]))];
        return vectors.index_select(0, tensor(chosen, int64, vectors.device)).unsqueeze(1).MoveToOuterDisposeScope();
    }

    // FNV-1a over the token ids; the same text has the same vector in every epoch and on every machine.
    private static ulong Hash(int[] text) =>
        text.Aggregate(14695981039346656037UL, (hash, token) => (hash ^ (uint)token) * 1099511628211UL);

    /// <summary>Makes the vectors.</summary>
    /// <param name="frozen">The unchanged model.</param>
    /// <param name="target">The layer whose output the vectors live in.</param>
    /// <param name="topics">Texts by topic.</param>
    /// <param name="config">Settings of the run.</param>
    /// <param name="padId">Padding id.</param>
    /// <param name="progress">Called with the number of vectors made and due.</param>
    /// <param name="cancellation">Stops between layers.</param>
    public static OffsetVectors Make(
        CausalLM frozen,
        int target,
        IReadOnlyList<TopicTexts> topics,
        UnlearnConfig config,
        int padId,
        Action<int, int>? progress = null,
        CancellationToken cancellation = default
    )
    {
        var perTopic = config.OffsetVector.PerTopic;
        var count = perTopic ? topics.Count : config.Steps;
        var side = config.Loss.CountPadding ? PaddingSide.Left : PaddingSide.Right;
        var randoms = Enumerable.Range(0, count).Select(i => new SeededRandom(config.Seed, $"offset vector {i}")).ToArray();
        List<TokenBatch> batches = [];
        List<int> vectorOf = [];
        for (var i = 0; i < count; i++)
        {
            foreach (
                var part in perTopic
                    ? OfTopic(topics[i].Forget, randoms[i])
                    : [BatchAt(topics[i % topics.Count].Forget, config.Data.BatchSize, randoms[i])]
            )
            {
                batches.Add(new TokenBatch(part, padId, side));
                vectorOf.Add(i);
            }
        }

        var vectors = new Tensor[count];
        var diagnostics = new OffsetDiagnostics[count];
        List<Tensor> rows = []; // of the vector that is being gathered, [n, H] float32
        try
        {
            new LayerwisePass(frozen) { Cancellation = cancellation }.Run(batches, target, (batch, hidden) =>
            {
                using var scope = NewDisposeScope();
                var mask = config.Loss.CountPadding || !batches[batch].IsPadded ? null : batches[batch].AttentionMask(frozen.Device);
                rows.Add(TokenRows.Select(hidden, mask).DetachFromDisposeScope());
                var i = vectorOf[batch];
                if (batch + 1 < batches.Count && vectorOf[batch + 1] == i) return;
                var (vector, diagnosis) = Make(rows.Count == 1 ? rows[0] : cat(rows, 0), config, randoms[i]);
                (vectors[i], diagnostics[i]) = (vector.DetachFromDisposeScope(), diagnosis);
                foreach (var part in rows) part.Dispose();
                rows.Clear();
                progress?.Invoke(i + 1, count);
            });
        }
        catch
        {
            foreach (var tensor in vectors.Concat(rows)) tensor?.Dispose();
            throw;
        }

        return new OffsetVectors(vectors, diagnostics, perTopic);
    }

    // As many texts of a topic, drawn at random, as give a fair sample of its directions; in batches that bound memory.
    private static IEnumerable<List<int[]>> OfTopic(IReadOnlyList<int[]> texts, SeededRandom random)
    {
        var tokens = 0;
        var chosen = random
            .Permutation(texts.Count)
            .Take(TextsPerTopic)
            .Select(i => texts[i])
            .TakeWhile(text => (tokens += text.Length) <= TokensPerTopic || tokens == text.Length)
            .ToList();
        return chosen.Chunk(TextsPerBatch).Select(part => part.ToList());
    }

    private static List<int[]> BatchAt(IReadOnlyList<int[]> texts, int size, SeededRandom random) =>
        [.. texts.Skip(random.Next((texts.Count + size - 1) / size) * size).Take(size)];

    private static (Tensor, OffsetDiagnostics) Make(Tensor rows, UnlearnConfig config, SeededRandom random)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(random.NextUInt64(), torch.CPU);
        var size = rows.shape[1];
        List<Tensor> vectors = [];
        OffsetDiagnostics? first = null;
        for (var i = 0; i < config.OffsetVector.Rank; i++)
        {
            var (vector, diagnostics) = One(rows, config, generator, size);
            vectors.Add(vector);
            first ??= diagnostics;
        }

        return (stack(vectors, 0).MoveToOuterDisposeScope(), first!);
    }

    private static (Tensor Vector, OffsetDiagnostics Diagnostics) One(Tensor rows, UnlearnConfig config, Generator generator, long size) =>
        config.OffsetVector.Form switch
        {
            OffsetVectorForm.Official => PrincipalOffsetVector.Official(
                rows,
                PrincipalOffsetVector.SampleNoise(size, generator, rows.device)
            ),
            OffsetVectorForm.Orthogonal => PrincipalOffsetVector.Orthogonal(
                rows,
                PrincipalOffsetVector.SampleStart(size, generator, rows.device),
                config.OffsetVector.Variance
            ),
            _ => PrincipalOffsetVector.Random(rows, generator, energyShare: config.OffsetVector.Variance),
        };

    /// <summary>Releases the vectors.</summary>
    public void Dispose()
    {
        foreach (var vector in _vectors) vector.Dispose();
    }
}
