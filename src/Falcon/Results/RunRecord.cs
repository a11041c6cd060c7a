using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Results;

/// <summary>The result of a run, written as <c>run.json</c> when the run is complete; reports and comparisons read it.</summary>
/// <param name="Verb">The verb that made the run, such as <c>unlearn</c>.</param>
/// <param name="Title">What the run did, in a few words, for a heading.</param>
/// <param name="Scores">What was measured before and after; empty where the run measured nothing.</param>
/// <param name="Questions">Questions that the model answered before and after.</param>
/// <param name="Files">The weights and data of the run with their SHA-256.</param>
/// <param name="Seconds">Wall-clock time of the whole run.</param>
/// <param name="Method">Name of the method and preset, such as <c>falcon (preset falcon)</c>.</param>
/// <param name="Layer">The layer at which the method unlearned, counted from 0; null where the method has none.</param>
public sealed record RunRecord(
    string Verb,
    string Title,
    IReadOnlyList<ScoreRow> Scores,
    IReadOnlyList<AnsweredQuestion> Questions,
    IReadOnlyList<FileHash> Files,
    double Seconds,
    string? Method = null,
    int? Layer = null)
{
    /// <summary>Version of this format. A reader refuses a higher one.</summary>
    public const int CurrentVersion = 1;

    /// <summary>Which parameters were kept and why the run ended; null for a run without a monitor.</summary>
    public MonitorRecord? Monitor { get; init; }

    /// <summary>
    /// Largest resident memory of the process, in bytes, as the operating system counts it; null in records of earlier versions.
    /// </summary>
    public long? PeakBytes { get; init; }

    /// <summary>What was predicted for <see cref="PeakBytes"/>, in bytes; null where nothing was predicted.</summary>
    public long? PredictedPeakBytes { get; init; }

    /// <summary>Device and dtype of the computation with the reason, in a line; null in records of earlier versions.</summary>
    public string? Compute { get; init; }

    /// <summary>The form in which the model was trained and asked, chat or plain; null in records of earlier versions.</summary>
    public PromptForm? Form { get; init; }

    /// <summary>Version of the format of this record.</summary>
    public int Version { get; init; } = CurrentVersion;
}

/// <summary>The kind of knowledge that a score measures.</summary>
public enum ScoreGroup
{
    /// <summary>Knowledge to forget.</summary>
    Forget,

    /// <summary>Related knowledge to keep.</summary>
    Retain,

    /// <summary>Other abilities, such as general facts and plain text.</summary>
    General,
}

/// <summary>One line of the before/after table.</summary>
/// <param name="Group">The kind of knowledge that is measured.</param>
/// <param name="Name">What was measured and on what, in plain words, such as <c>Questions about the island</c>.</param>
/// <param name="Unit"><c>percent</c> for shares from 0 to 1 that are shown as percentages, else <c>number</c>.</param>
/// <param name="Before">The original model.</param>
/// <param name="After">The model after unlearning.</param>
/// <param name="Control">A model that was never taught the forget set; null where there is none.</param>
public sealed record ScoreRow(ScoreGroup Group, string Name, string Unit, MetricValue Before, MetricValue After, MetricValue? Control);

/// <summary>One question with the answers of the models.</summary>
/// <param name="Group">Whether the answer is to be forgotten or kept.</param>
/// <param name="Question">The question.</param>
/// <param name="Expected">The true answer.</param>
/// <param name="Before">Answer of the original model.</param>
/// <param name="After">Answer of the model after unlearning.</param>
/// <param name="Control">Answer of a model that was never taught; null where there is none.</param>
public sealed record AnsweredQuestion(ScoreGroup Group, string Question, string Expected, string Before, string After, string? Control);
