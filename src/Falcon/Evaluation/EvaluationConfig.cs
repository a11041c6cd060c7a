using Falcon.Results;

namespace Falcon.Evaluation;

/// <summary>What a probe measures.</summary>
public enum ProbeMetric
{
    /// <summary>Share of questions whose right answer is the most likely among right and wrong ones.</summary>
    MultipleChoice,

    /// <summary>Geometric mean probability of the answers' tokens.</summary>
    AnswerProbability,

    /// <summary>ROUGE-L recall of the greedy answers.</summary>
    RougeL,

    /// <summary>Perplexity per token of plain texts.</summary>
    Perplexity,
}

/// <summary>One line of the before/after table of a run.</summary>
public sealed record ProbeConfig
{
    /// <summary>Name of the line, in plain words.</summary>
    public string Name { get; init; } = "";

    /// <summary>Whether this is knowledge to forget, to keep, or general.</summary>
    public ScoreGroup Group { get; init; }

    /// <summary>The file with questions or texts.</summary>
    public string Data { get; init; } = "";

    /// <summary>What is measured on it.</summary>
    public ProbeMetric Metric { get; init; }
}

/// <summary>A question that the model answers before and after unlearning.</summary>
public sealed record QuestionConfig
{
    /// <summary>Whether the answer is to be forgotten or kept.</summary>
    public ScoreGroup Group { get; init; }

    /// <summary>The question.</summary>
    public string Question { get; init; } = "";

    /// <summary>The true answer.</summary>
    public string Answer { get; init; } = "";
}

/// <summary>What an unlearning run measures before and after.</summary>
public sealed record EvaluationConfig
{
    /// <summary>Heading of the report; null makes one from the forget files.</summary>
    public string? Title { get; init; }

    /// <summary>
    /// The lines of the table. Empty measures answer probability (or perplexity, for plain text) on the forget and retain files.
    /// </summary>
    public IReadOnlyList<ProbeConfig> Probes { get; init; } = [];

    /// <summary>Questions to answer before and after; empty takes the first of the first forget and of the first retain file.</summary>
    public IReadOnlyList<QuestionConfig> Questions { get; init; } = [];

    /// <summary>
    /// A model that was never taught the forget set: its directory, or a file with its scores that <c>falcon demo</c> or a run wrote. Null
    /// for none.
    /// </summary>
    public string? Control { get; init; }

    /// <summary>
    /// Largest number of records that a probe uses, evenly spaced over the file. 0 measures nothing; a model too large for memory can then
    /// be unlearned.
    /// </summary>
    public int Samples { get; init; } = 100;
}
