using Falcon.Data;
using Falcon.Methods;
using Falcon.Methods.Falcon;
using Falcon.Models;
using Falcon.Runs.Configuration;

namespace Falcon.Runs;

/// <summary>The texts of every step of a run; pure, so that they can be looked at before the run and after an interruption.</summary>
public sealed class StepBatches(UnlearnConfig config, IReadOnlyList<TopicTexts> topics, int padId)
{
    private readonly IReadOnlyList<int[]>[] _retain =
    [
        .. topics.Select(topic =>
            RetainVariants.Add(
                topic.Retain,
                config.Method == MethodPresets.Falcon ? config.Loss.RetainVariants : 0,
                config.Loss.VariantShare,
                config.Seed
            )
        ),
    ];

    private readonly BatchSchedule _schedule = new(
        [
            .. topics.Select(topic =>
                (topic.Forget.Count, topic.Retain.Count * (config.Method == MethodPresets.Falcon ? config.Loss.RetainVariants + 1 : 1))
            ),
        ],
        config.Data.BatchSize,
        config.Data.Shuffle ? BatchOrder.Shuffled : BatchOrder.File,
        config.Seed,
        config.Data.RetainBatchSize
    );

    private readonly IReadOnlyList<int>?[] _countFrom =
    [
        .. topics.Select(topic =>
            config.Loss.ForgetTokens switch
            {
                ForgetTokens.Answer => topic.ForgetAnswers,
                ForgetTokens.Distinct => topic.ForgetDistinct(),
                _ => null,
            }
        ),
    ];

    /// <summary>Step, topic, forget and retain texts.</summary>
    public (ScheduledBatch Scheduled, TokenBatch Forget, TokenBatch Retain) At(int step)
    {
        var scheduled = _schedule.At(step);
        var topic = topics[scheduled.Topic];
        return (
            scheduled,
            Batch(topic.Forget, scheduled.Forget, _countFrom[scheduled.Topic]),
            Batch(_retain[scheduled.Topic], scheduled.Retain, null)
        );
    }

    /// <summary>All batches of the run in the order of the steps.</summary>
    public IEnumerable<TokenBatch> All()
    {
        for (var step = 0; step < config.Steps; step++)
        {
            var (_, forget, retain) = At(step);
            yield return forget;
            yield return retain;
        }
    }

    /// <summary>The retain batches of the first steps, at most 32.</summary>
    public IReadOnlyList<TokenBatch> FirstRetain() => [.. Enumerable.Range(0, Math.Min(32, config.Steps)).Select(step => At(step).Retain)];

    private TokenBatch Batch(IReadOnlyList<int[]> texts, IReadOnlyList<int> chosen, IReadOnlyList<int>? countFrom) =>
        new(
            [.. chosen.Select(i => texts[i])],
            padId,
            config.Loss.CountPadding ? PaddingSide.Left : PaddingSide.Right,
            countFrom is null ? null : [.. chosen.Select(i => countFrom[i])]
        );
}
