using Falcon.Engine;
using Falcon.Methods.Terms;
using Falcon.Models;
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

    /// <summary>How each vector relates to the directions it was made from.</summary>
    public IReadOnlyList<OffsetDiagnostics> Diagnostics { get; }

    /// <summary>The vector [H] of a step; borrowed.</summary>
    public Tensor At(int step, int topic) => _vectors[_perTopic ? topic : step];

    /// <summary>Makes the vectors.</summary>
    /// <param name="settings">Form, variance, one for each topic or each step.</param>
    /// <param name="inputs">Frozen model, passes with their target layer, topics, seed.</param>
    public static OffsetVectors Make(Contrastive settings, TermInputs inputs)
    {
        var (frozen, topics) = (inputs.Frozen, inputs.Topics);
        var perTopic = settings.PerTopic;
        var count = perTopic ? topics.Count : inputs.Steps;
        var side = inputs.Data.CountPadding ? PaddingSide.Left : PaddingSide.Right;
        var randoms = Enumerable.Range(0, count).Select(i => new SeededRandom(inputs.Seed, $"offset vector {i}")).ToArray();
        List<TokenBatch> batches = [];
        List<int> vectorOf = [];
        for (var i = 0; i < count; i++)
        {
            foreach (
                var part in perTopic
                    ? OfTopic(topics[i].Forget, randoms[i])
                    : [BatchAt(topics[i % topics.Count].Forget, inputs.Data.BatchSize, randoms[i])]
            )
            {
                batches.Add(new TokenBatch(part, inputs.PadId, side));
                vectorOf.Add(i);
            }
        }

        var vectors = new Tensor[count];
        var diagnostics = new OffsetDiagnostics[count];
        List<Tensor> rows = []; // of the vector that is being gathered, [n, H] float32
        try
        {
            new LayerwisePass(frozen) { Cancellation = inputs.Cancellation }.Run(batches, inputs.RequiredPasses.Target, (batch, hidden) =>
            {
                using var scope = NewDisposeScope();
                var mask = inputs.Data.CountPadding || !batches[batch].IsPadded ? null : batches[batch].AttentionMask(frozen.Device);
                rows.Add(TokenRows.Select(hidden, mask).DetachFromDisposeScope());
                var i = vectorOf[batch];
                if (batch + 1 < batches.Count && vectorOf[batch + 1] == i) return;
                var (vector, diagnosis) = Make(rows.Count == 1 ? rows[0] : cat(rows, 0), settings, randoms[i]);
                (vectors[i], diagnostics[i]) = (vector.DetachFromDisposeScope(), diagnosis);
                foreach (var part in rows) part.Dispose();
                rows.Clear();
                inputs.Log.Progress("offset vectors", i + 1, count);
            });
        }
        catch
        {
            foreach (var tensor in vectors.Concat(rows)) tensor?.Dispose();
            throw;
        }

        return new OffsetVectors(vectors, diagnostics, perTopic);
    }

    // Random texts of a topic, enough for a fair sample of its directions, in batches that limit memory.
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

    private static (Tensor Vector, OffsetDiagnostics Diagnostics) Make(Tensor rows, Contrastive settings, SeededRandom random)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(random.NextUInt64(), torch.CPU);
        var size = rows.shape[1];
        var (vector, diagnostics) = settings.Form switch
        {
            OffsetVectorForm.Official => PrincipalOffsetVector.Official(
                rows,
                PrincipalOffsetVector.SampleNoise(size, generator, rows.device)
            ),
            OffsetVectorForm.Orthogonal => PrincipalOffsetVector.Orthogonal(
                rows,
                PrincipalOffsetVector.SampleStart(size, generator, rows.device),
                settings.Variance
            ),
            _ => PrincipalOffsetVector.Random(rows, generator, energyShare: settings.Variance),
        };
        return (vector.MoveToOuterDisposeScope(), diagnostics);
    }

    /// <summary>Releases the vectors.</summary>
    public void Dispose()
    {
        foreach (var vector in _vectors) vector.Dispose();
    }
}
