using System.Diagnostics;
using System.Globalization;
using Falcon.Engine;
using Falcon.Layers;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Runs;

/// <summary>
/// The choice of the layer by mutual information of forget and retain activations (FALCON, step 1), as it is written to <c>layers.json</c>.
/// </summary>
/// <param name="Layers">Every layer that was looked at.</param>
/// <param name="SelectedLayer">The layer to unlearn at.</param>
/// <param name="Candidates">All layers whose normalised information is at most 0.1.</param>
/// <param name="IntervalsOverlap">
/// Whether the interval of the chosen layer overlaps that of the runner-up, so that the data do not settle the choice.
/// </param>
/// <param name="Samples">Texts of each kind behind the estimates.</param>
public sealed record LayerAnalysis(
    IReadOnlyList<LayerScore> Layers,
    int SelectedLayer,
    IReadOnlyList<int> Candidates,
    bool? IntervalsOverlap,
    int Samples
)
{
    /// <summary>Measures layers and ranks those to choose from.</summary>
    /// <param name="model">The unchanged model.</param>
    /// <param name="topics">Forget domains with their retain sets.</param>
    /// <param name="settings">Samples, eta and intervals.</param>
    /// <param name="measured">Lowest and highest layer to measure.</param>
    /// <param name="searched">Lowest and highest layer to choose from, within the measured ones.</param>
    /// <param name="seed">Seed of the choice of texts and of the resamples.</param>
    /// <param name="padId">Padding id.</param>
    /// <param name="log">Progress and warnings.</param>
    /// <param name="cancellation">Stops between batches and layers.</param>
    /// <exception cref="NumericalFailureException">No layer has a valid estimate.</exception>
    public static LayerAnalysis Measure(
        CausalLM model,
        IReadOnlyList<TopicTexts> topics,
        LayerSettings settings,
        (int First, int Last) measured,
        (int First, int Last) searched,
        ulong seed,
        int padId,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        using var scope = NewDisposeScope();
        List<IReadOnlyList<int[]>> sets =
        [
            .. topics.Select((topic, i) => Choose(topic.Forget, settings.Samples, seed, $"analysis, forget {i}")),
        ];
        // Domains may share one retain set; the texts of all retain sets are pooled.
        var retainTexts = topics.Select(topic => topic.Retain).Distinct().SelectMany(texts => texts).ToList();
        sets.Add(Choose(retainTexts, settings.Samples, seed, "analysis, retain"));
        var total = sets.Sum(set => set.Count);
        List<IReadOnlyList<Tensor>> states = [];
        var done = 0;
        var clock = Stopwatch.StartNew();
        foreach (var set in sets)
        {
            states.Add(
                ActivationSampler.LastTokenStates(
                    model,
                    set,
                    measured.First,
                    measured.Last,
                    padId,
                    n => log.Progress("activations", done + n, total),
                    cancellation
                )
            );
            done += set.Count;
        }

        var forward = clock.Elapsed.TotalSeconds;
        clock.Restart();
        var estimates = Estimate(states, settings, measured.First, measured.Last, seed, log, cancellation);
        var spent = clock.Elapsed.TotalSeconds;
        log.Information(
            string.Create(
                CultureInfo.InvariantCulture,
                $"analysis of {total} texts in {estimates.Count} layers: forward passes {forward:F1} s, estimates {spent:F1} s "
                    + $"({spent / (forward + spent):P0})"
            )
        );
        var ranking = LayerSelector.Rank([
            .. estimates.Where(estimate => estimate.Layer >= searched.First && estimate.Layer <= searched.Last),
        ]);
        foreach (var failed in estimates.Where(estimate => estimate.Failure is not null))
            log.Warning($"layer {failed.Layer} is excluded: {failed.Failure}");
        if (ranking.IntervalsOverlap == true)
            log.Warning(
                $"the intervals of layers {ranking.BestLayer} and {ranking.RunnerUp} overlap: the data do not settle the choice between "
                    + $"them"
            );
        var selected =
            settings.Choice == LayerChoice.HighestInformation
                ? ranking.Table.MaxBy(row => row.Normalized)!.Estimate.Layer
                : ranking.BestLayer;
        return new LayerAnalysis(
            [.. estimates.Select(estimate => Score(estimate, ranking, selected))],
            selected, ranking.Candidates, ranking.IntervalsOverlap, sets.Min(set => set.Count));
    }

    private static LayerScore Score(LayerEstimate estimate, LayerRanking ranking, int selected)
    {
        var row = ranking.Table.FirstOrDefault(row => row.Estimate == estimate);
        return new LayerScore(
            estimate.Layer, estimate.MutualInformation, estimate.Interval?.Low, estimate.Interval?.High, estimate.Layer == selected,
            estimate.Failure ?? row?.Verdict ?? LayerScore.NotSearched, row?.Normalized);
    }

    // The matrices are so small (texts x texts) that threads wait for each other longer than they work.
    private static List<LayerEstimate> Estimate(
        List<IReadOnlyList<Tensor>> states,
        LayerSettings settings,
        int first,
        int last,
        ulong seed,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        var threads = get_num_threads();
        set_num_threads(1);
        try
        {
            List<LayerEstimate> estimates = [];
            for (var layer = first; layer <= last; layer++)
            {
                cancellation.ThrowIfCancellationRequested();
                var perSet = states.Select(set => set[layer - first]).ToList();
                var resampleSeed = (int)(new SeededRandom(seed, "analysis, resamples", layer).NextUInt64() >> 33);
                estimates.Add(
                    LayerSelector.Measure(
                        layer,
                        perSet[..^1],
                        perSet[^1],
                        settings.Eta,
                        resampleSeed,
                        settings.BootstrapRounds,
                        permutations: 0
                    )
                );
                log.Progress(
                    "mutual information",
                    layer - first + 1,
                    last - first + 1,
                    string.Create(CultureInfo.InvariantCulture, $"layer {layer}: {Describe(estimates[^1])}")
                );
            }

            return estimates;
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    /// <summary>The range of layers that a configuration asks for.</summary>
    public static (int First, int Last) Range(LayerSettings settings, int layers) =>
        ((int)Math.Round(settings.SearchFrom * (layers - 1)), (int)Math.Round(settings.SearchTo * (layers - 1)));

    private static string Describe(LayerEstimate estimate) =>
        estimate.MutualInformation is { } value ? value.ToString("F2", CultureInfo.InvariantCulture) : "failed";

    private static List<int[]> Choose(IReadOnlyList<int[]> texts, int count, ulong seed, string purpose) =>
        [.. new SeededRandom(seed, purpose).Permutation(texts.Count).Take(count).Select(i => texts[i])];
}
