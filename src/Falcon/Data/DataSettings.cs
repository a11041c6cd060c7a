using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;

namespace Falcon.Data;

/// <summary>Which tokens of a forget text enter the forget loss.</summary>
public enum ForgetTokens
{
    /// <summary>All of them, as published.</summary>
    All,

    /// <summary>
    /// The tokens whose hidden states predict the answer. The words of a question also occur in the retain set. Plain text counts whole.
    /// </summary>
    Answer,

    /// <summary>
    /// All but the beginning that a forget text shares with a retain text: its hidden states are the same in both sets, so no update can
    /// push the one and keep the other.
    /// </summary>
    Distinct,
}

/// <summary>The texts of a run, and how they are put into batches.</summary>
public sealed record DataSettings
{
    /// <summary>One file for each forget domain.</summary>
    public IReadOnlyList<string> Forget { get; init; } = [];

    /// <summary>
    /// The retain file of each forget domain, or one file for all of them. With a single forget domain, several files count as one.
    /// </summary>
    public IReadOnlyList<string> Retain { get; init; } = [];

    /// <summary>Names of fields other than the usual ones, such as <c>question=q,answer=a</c>.</summary>
    public string? Fields { get; init; }

    /// <summary>The prompt form: the tokenizer's chat template, plain text, or chosen by the tokenizer.</summary>
    public FormKind Form { get; init; }

    /// <summary>Chat form: a system message before conversations that have none.</summary>
    public string? System { get; init; }

    /// <summary>Chat form: the day for templates that print one; null for the day on which the run begins.</summary>
    public DateOnly? Date { get; init; }

    /// <summary>Plain form: how question and answer become text.</summary>
    public PromptTemplate Template { get; init; } = new();

    /// <summary>The prompt form as one value.</summary>
    [JsonIgnore]
    public PromptForm PromptForm
    {
        get => new() { Kind = Form, System = System, Date = Date, Template = Template };
        init => (Form, System, Date, Template) = (value.Kind, value.System, value.Date, value.Template);
    }

    /// <summary>Longest text in tokens; the rest is cut off.</summary>
    [Range(2, int.MaxValue)]
    public int MaxLength { get; init; } = 512;

    /// <summary>Texts of each kind in a step.</summary>
    [Range(1, int.MaxValue)]
    public int BatchSize { get; init; } = 4;

    /// <summary>Retain texts in a step; 0 takes as many as forget texts.</summary>
    [Range(0, int.MaxValue)]
    public int RetainBatchSize { get; init; }

    /// <summary>Whether texts are shuffled in every epoch; otherwise they come in file order.</summary>
    public bool Shuffle { get; init; } = true;

    /// <summary>
    /// Texts that the unchanged model writes itself and that join the retain set, because a run keeps only what its retain texts show.
    /// Texts with words, or pairs of words, that only the forget files have are left out. 0 for none.
    /// </summary>
    [Range(0, 1_000_000)]
    public int GeneratedRetain { get; init; }

    /// <summary>Which tokens of a forget text enter losses of hidden states.</summary>
    public ForgetTokens ForgetTokens { get; init; }

    /// <summary>Whether texts are padded on the left and padding counts in losses of hidden states, as in the published code.</summary>
    public bool CountPadding { get; init; }

    /// <summary>What is wrong with the number of retain files; null for nothing.</summary>
    internal string? RetainFault() =>
        Retain.Count switch
        {
            0 => "data.retain: give at least one retain file (--retain FILE[,FILE])",
            1 => null,
            _ when Forget.Count <= 1 || Retain.Count == Forget.Count => null,
            _ => $"data.retain: {Forget.Count} forget files but {Retain.Count} retain files; "
                + "give one retain file for each forget file, in the same order, or one for all",
        };
}
