namespace Falcon.Runs.Evaluating;

/// <summary>Which logits are written beside the log-probabilities.</summary>
public enum LogitsKept
{
    /// <summary>None.</summary>
    None,

    /// <summary>Those after the last token of each text, [V].</summary>
    Last,

    /// <summary>Those after every token, [n, V].</summary>
    All,
}

/// <summary>Whose log-probabilities of which texts are written where.</summary>
/// <param name="Model">Hugging Face model directory.</param>
/// <param name="Data">A file of texts, or of rows with <c>input_ids</c>, which need no tokenizer.</param>
/// <param name="Out">The safetensors file to write.</param>
public sealed record LogprobsSettings(string Model, string Data, string Out)
{
    /// <summary>Which logits are written too.</summary>
    public LogitsKept Logits { get; init; }

    /// <summary>Names of fields other than the usual ones, such as <c>text=body</c>.</summary>
    public string? Fields { get; init; }
}
