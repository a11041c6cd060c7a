using Falcon.Runtime;

namespace Falcon.Results;

/// <summary>The result of a run, written as <c>run.json</c> when the run is complete; reports and comparisons read it.</summary>
/// <param name="Verb">The verb that made the run, such as <c>unlearn</c>.</param>
/// <param name="Title">What the run did, in a few words, for a heading.</param>
/// <param name="Scores">What was measured before and after; empty where the run measured nothing.</param>
/// <param name="Questions">Questions put to the model before and after.</param>
/// <param name="Files">The weights and data of the run with their SHA-256.</param>
/// <param name="Seconds">Wall-clock time of the whole run.</param>
/// <param name="Method">Name of the method and preset, such as <c>falcon (preset falcon)</c>.</param>
/// <param name="Layer">The layer that was unlearned at, counted from 0; null where the method has none.</param>
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
    /// <summary>Version of this format; a reader refuses a higher one.</summary>
    public const int CurrentVersion = 1;

    /// <summary>Which parameters were kept and why the run ended; null for a run without a monitor.</summary>
    public MonitorRecord? Monitor { get; init; }

    /// <summary>
    /// Largest resident memory of the process, in bytes, as the operating system counts it; null in records of earlier versions.
    /// </summary>
    public long? PeakBytes { get; init; }

    /// <summary>Version of the format of this record.</summary>
    public int Version { get; init; } = CurrentVersion;
}

/// <summary>What a score says something about.</summary>
public enum ScoreGroup
{
    /// <summary>Knowledge that shall be gone.</summary>
    Forget,

    /// <summary>Knowledge beside it that shall stay.</summary>
    Retain,

    /// <summary>Other abilities, such as general facts and plain text.</summary>
    General,
}

/// <summary>One line of the before/after table.</summary>
/// <param name="Group">What the score says something about.</param>
/// <param name="Name">What was measured and on what, for a layman, such as <c>Questions about the island</c>.</param>
/// <param name="Unit"><c>percent</c> for shares from 0 to 1 that are shown as percentages, else <c>number</c>.</param>
/// <param name="Before">The original model.</param>
/// <param name="After">The model after unlearning.</param>
/// <param name="Control">A model that was never taught the forget set; null where there is none.</param>
public sealed record ScoreRow(ScoreGroup Group, string Name, string Unit, MetricValue Before, MetricValue After, MetricValue? Control);

/// <summary>One question with the answers of the models.</summary>
/// <param name="Group">Whether the answer shall be gone or stay.</param>
/// <param name="Question">The question as it was put.</param>
/// <param name="Expected">The true answer.</param>
/// <param name="Before">Answer of the original model.</param>
/// <param name="After">Answer of the model after unlearning.</param>
/// <param name="Control">Answer of a model that was never taught; null where there is none.</param>
public sealed record AnsweredQuestion(ScoreGroup Group, string Question, string Expected, string Before, string After, string? Control);

/// <summary>The estimate for one layer, an entry of <c>layers.json</c>.</summary>
/// <param name="Layer">The layer, counted from 0.</param>
/// <param name="MutualInformation">Mutual information of forget and retain hidden states in nats; null where the estimate failed.</param>
/// <param name="Low">Lower end of the 95 % interval; null where the estimate failed or has none.</param>
/// <param name="High">Upper end of the 95 % interval; null where the estimate failed or has none.</param>
/// <param name="Selected">Whether this layer was chosen.</param>
/// <param name="Note">Why the estimate failed or what to know about it; null for nothing.</param>
/// <param name="Normalized">
/// The mutual information scaled to 0..1 over the layers to choose from; null where the estimate failed or the layer is none of them.
/// </param>
public sealed record LayerScore(
    int Layer,
    double? MutualInformation,
    double? Low,
    double? High,
    bool Selected,
    string? Note = null,
    double? Normalized = null
)
{
    /// <summary>The note of a layer that was measured but could not be chosen.</summary>
    public const string NotSearched = "outside the layers to choose from";
}
