using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Reporting;

/// <summary>Everything a report page says about one run; <see cref="HtmlReport"/> decides how it looks.</summary>
/// <param name="Title">Heading, such as <c>Unlearning the two islands</c>.</param>
/// <param name="Verdict">The outcome in one plain sentence, with its kind.</param>
/// <param name="Scores">What was measured: before, after, and for the never-taught control.</param>
/// <param name="Questions">Questions answered before and after.</param>
/// <param name="Layers">The estimate for every layer; empty where no layer was chosen by estimate.</param>
/// <param name="Losses">Loss curves over the steps.</param>
/// <param name="Cosines">Curves of the cosine between forget and retain gradients over the steps.</param>
/// <param name="Facts">Short facts about the run (method, layer, time), in order.</param>
/// <param name="Environment">Versions, machine, seed, start, in order.</param>
/// <param name="Configuration">The effective configuration as JSON text; null where none was recorded.</param>
/// <param name="Files">Weights and data with their SHA-256.</param>
public sealed record ReportModel(
    string Title,
    Verdict Verdict,
    IReadOnlyList<ScoreRow> Scores,
    IReadOnlyList<AnsweredQuestion> Questions,
    IReadOnlyList<LayerScore> Layers,
    IReadOnlyList<StepSeries> Losses,
    IReadOnlyList<StepSeries> Cosines,
    IReadOnlyList<Fact> Facts,
    IReadOnlyList<Fact> Environment,
    string? Configuration,
    IReadOnlyList<FileHash> Files)
{
    /// <summary>Results of recovery attacks; null where there were none.</summary>
    public AttackResult? Attacks { get; init; }
}

/// <summary>A curve over optimizer steps.</summary>
/// <param name="Name">Name in the legend.</param>
/// <param name="Points">Step and value; a value that is not finite leaves a gap.</param>
public sealed record StepSeries(string Name, IReadOnlyList<(double Step, double Value)> Points);

/// <summary>A name with its value, both as shown.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Value">Its value.</param>
public sealed record Fact(string Name, string Value);
