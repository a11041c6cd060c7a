using Falcon.Configuration;
using Falcon.Models;
using Falcon.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Methods;

/// <summary>
/// The principal offset vectors of a run, all made from the unchanged model before the first step: one for each topic, or one for each step as published. Owns them.
/// </summary>
public sealed class OffsetVectors : IDisposable
{
    private const int TextsPerTopic = 64;

    private readonly Tensor[] _vectors;
    private readonly bool _perTopic;

    private OffsetVectors(Tensor[] vectors, OffsetDiagnostics[] diagnostics, bool perTopic) => (_vectors, Diagnostics, _perTopic) = (vectors, diagnostics, perTopic);

    /// <summary>How each vector lies to the directions it was made from.</summary>
    public IReadOnlyList<OffsetDiagnostics> Diagnostics { get; }

    /// <summary>The vector [H] of a step; borrowed.</summary>
    public Tensor At(int step, int topic) => _vectors[_perTopic ? topic : step];

    /// <summary>Makes the vectors.</summary>
    /// <param name="frozen">The unchanged model.</param>
    /// <param name="target">The layer whose output the vectors live in.</param>
    /// <param name="topics">Texts by topic.</param>
    /// <param name="config">Settings of the run.</param>
    /// <param name="padId">Padding id.</param>
    /// <param name="progress">Called with the number of vectors made and due.</param>
    /// <param name="cancellation">Stops between vectors.</param>
    public static OffsetVectors Make(CausalLM frozen, int target, IReadOnlyList<TopicTexts> topics, UnlearnConfig config, int padId, Action<int, int>? progress = null, CancellationToken cancellation = default)
    {
        var perTopic = config.OffsetVector.PerTopic;
        var count = perTopic ? topics.Count : config.Steps;
        List<Tensor> vectors = [];
        List<OffsetDiagnostics> diagnostics = [];
        try
        {
            for (var i = 0; i < count; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                using var noGrad = no_grad();
                var texts = topics[i % topics.Count].Forget;
                var random = new SeededRandom(config.Seed, $"offset vector {i}");
                var size = perTopic ? Math.Min(TextsPerTopic, texts.Count) : config.Data.BatchSize;
                List<int[]> chosen = perTopic ? [.. random.Permutation(texts.Count).Take(size).Select(k => texts[k])] : BatchAt(texts, random.Next((texts.Count + size - 1) / size), size);
                var (vector, diagnosis) = Make(frozen, target, chosen, config, padId, random);
                vectors.Add(vector.DetachFromDisposeScope());
                diagnostics.Add(diagnosis);
                progress?.Invoke(i + 1, count);
            }
        }
        catch
        {
            foreach (var vector in vectors) vector.Dispose();
            throw;
        }

        return new OffsetVectors([.. vectors], [.. diagnostics], perTopic);
    }

    private static List<int[]> BatchAt(IReadOnlyList<int[]> texts, int batch, int size) => [.. texts.Skip(batch * size).Take(size)];

    private static (Tensor, OffsetDiagnostics) Make(CausalLM frozen, int target, List<int[]> texts, UnlearnConfig config, int padId, SeededRandom random)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(random.NextUInt64(), torch.CPU);
        var official = config.OffsetVector.Form == OffsetVectorForm.Official;
        var batch = new TokenBatch(texts, padId, config.Loss.CountPadding ? PaddingSide.Left : PaddingSide.Right);
        using var context = batch.Context(frozen);
        var hidden = frozen.HiddenStates(batch.InputIds(frozen.Device), target, context).to(float32);
        var mask = config.Loss.CountPadding || !batch.IsPadded ? null : batch.AttentionMask(frozen.Device);
        var size = frozen.Config.HiddenSize;
        var (vector, diagnostics) = config.OffsetVector.Form switch
        {
            OffsetVectorForm.Official => PrincipalOffsetVector.Official(hidden, PrincipalOffsetVector.SampleNoise(size, generator, frozen.Device), mask),
            OffsetVectorForm.Orthogonal => PrincipalOffsetVector.Linear(hidden, PrincipalOffsetVector.SampleStart(size, generator, frozen.Device), Directions(hidden, mask, config.OffsetVector.Variance), mask: mask),
            _ => PrincipalOffsetVector.Random(hidden, generator, Directions(hidden, mask, config.OffsetVector.Variance), mask),
        };
        return (vector.MoveToOuterDisposeScope(), diagnostics);
    }

    /// <summary>The smallest number of leading directions that hold a share of the energy of the hidden states, and at most three quarters of all.</summary>
    internal static int Directions(Tensor hidden, Tensor? mask, double share)
    {
        using var scope = NewDisposeScope();
        var rows = TokenRows.Select(hidden, mask).to(float64);
        var gram = rows.shape[0] < rows.shape[1] ? rows.matmul(rows.T) : rows.T.matmul(rows);
        var energies = linalg.eigvalsh(gram).flip(0).clamp_min(0).cpu().data<double>().ToArray();
        var total = energies.Sum();
        double sum = 0;
        var count = 0;
        while (count < energies.Length && sum < share * total) sum += energies[count++];
        return Math.Max(1, Math.Min(count, (int)hidden.shape[^1] * 3 / 4));
    }

    /// <summary>Releases the vectors.</summary>
    public void Dispose()
    {
        foreach (var vector in _vectors) vector.Dispose();
    }
}
