using Falcon.Data;
using Falcon.Engine;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>The forget and retain texts that meet in one step.</summary>
/// <param name="Scheduled">Step, topic and positions of the texts in the topic's lists.</param>
/// <param name="Texts">The topic.</param>
/// <param name="Forget">The forget texts; their loss mask says which tokens' hidden states are pushed away.</param>
/// <param name="Retain">The retain texts; every token counts.</param>
/// <param name="PadId">Padding id.</param>
/// <param name="Generator">The step's random numbers, on the processor; depends on seed and step alone.</param>
public sealed record StepBatch(
    ScheduledBatch Scheduled,
    TopicTexts Texts,
    TokenBatch Forget,
    TokenBatch Retain,
    int PadId,
    Generator Generator
)
{
    /// <summary>The forget texts with their answers as labels.</summary>
    public AnswerBatch ForgetAnswers() =>
        new([.. Scheduled.Forget.Select(i => Texts.Forget[i])], [.. Scheduled.Forget.Select(i => Texts.ForgetAnswers[i])], PadId);

    /// <summary>The retain texts with their answers as labels.</summary>
    public AnswerBatch RetainAnswers() =>
        new([.. Scheduled.Retain.Select(i => Texts.Retain[i])], [.. Scheduled.Retain.Select(i => Texts.RetainAnswers[i])], PadId);
}
