using Falcon.Data;
using Falcon.Models;

namespace Falcon.Engine;

/// <summary>
/// The texts of every step of a run. Pure: a step's texts depend on the arguments alone, so they can be looked at before the run and are
/// the same after an interruption.
/// </summary>
/// <param name="topics">Forget domains with their retain sets.</param>
/// <param name="data">Batch sizes, order, counted tokens and padding.</param>
/// <param name="steps">Steps of the run.</param>
/// <param name="seed">Decides the order of shuffled texts.</param>
/// <param name="padId">Padding id.</param>
public sealed class StepBatches(IReadOnlyList<TopicTexts> topics, DataSettings data, int steps, ulong seed, int padId)
{
    private const int FirstSteps = 32;

    private readonly BatchSchedule _schedule = new(
        [.. topics.Select(topic => (topic.Forget.Count, topic.Retain.Count))],
        data.BatchSize,
        data.Shuffle ? BatchOrder.Shuffled : BatchOrder.File,
        seed,
        data.RetainBatchSize
    );

    private readonly IReadOnlyList<int>?[] _countFrom =
    [
        .. topics.Select(topic =>
            data.ForgetTokens switch
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
        var forget = Batch(topic.Forget, scheduled.Forget, _countFrom[scheduled.Topic]);
        return (scheduled, forget, Batch(topic.Retain, scheduled.Retain, null));
    }

    /// <summary>All batches of the run in the order of the steps.</summary>
    public IEnumerable<TokenBatch> All()
    {
        for (var step = 0; step < steps; step++)
        {
            var (_, forget, retain) = At(step);
            yield return forget;
            yield return retain;
        }
    }

    /// <summary>The retain batches of the first steps, at most 32.</summary>
    public IReadOnlyList<TokenBatch> FirstRetain() => [.. Enumerable.Range(0, Math.Min(FirstSteps, steps)).Select(step => At(step).Retain)];

    private TokenBatch Batch(IReadOnlyList<int[]> texts, IReadOnlyList<int> chosen, IReadOnlyList<int>? countFrom) =>
        new(
            [.. chosen.Select(i => texts[i])],
            padId,
            data.CountPadding ? PaddingSide.Left : PaddingSide.Right,
            countFrom is null ? null : [.. chosen.Select(i => countFrom[i])]
        );
}
