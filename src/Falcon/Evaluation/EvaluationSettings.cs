using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Evaluation.Suites;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>What is measured, on which model and data.</summary>
/// <param name="Model">Hugging Face model directory.</param>
/// <param name="Suites">Names of suites (<see cref="SuiteCatalog.Names"/>).</param>
/// <param name="Data">
/// A directory or file for all suites, or <c>SUITE=PATH</c> entries separated by commas; null looks for <c>data/SUITE</c>.
/// </param>
/// <param name="Reference">A model directory, which is measured too, or a result file of an earlier run; null for none.</param>
/// <param name="Out">Result file.</param>
public sealed record EvaluationSettings(string Model, IReadOnlyList<string> Suites, string? Data, string? Reference, string Out)
{
    /// <summary>tofu, privacy, leak: the forget set, such as <c>forget10</c>; null takes the largest that is there.</summary>
    public string? ForgetSplit { get; init; }

    /// <summary>ROUGE samples, limit of new tokens, seed of the intervals.</summary>
    public QuestionSettings Questions { get; init; } = new();

    /// <summary>Longest window of the perplexity in tokens; null for the model's max_position_embeddings.</summary>
    public int? MaxLength { get; init; }

    /// <summary>The form in which the model is asked; null takes that of the run that made the model, else auto.</summary>
    public PromptForm? Form { get; init; }

    /// <summary>Where the form comes from, for the result; null where <see cref="Form"/> is null.</summary>
    public string? FormSource { get; init; }

    /// <summary>
    /// Whether the measured model's tokenizer has a chat template; the reference is asked in the same form. Null until it is known.
    /// </summary>
    internal bool? HasChatTemplate { get; init; }

    /// <summary>Whether that chat template prints the date, so that numbers depend on it.</summary>
    internal bool PrintsDate { get; init; }

    /// <summary>
    /// The model before unlearning: a directory, which is measured too, or a result file. It serves only for warnings that nothing changed
    /// or that there was nothing to forget. Null for none.
    /// </summary>
    public string? Before { get; init; }

    /// <summary>
    /// mmlu: number of solved questions before each question, the first of the development split. The harness's default is 0, leaderboards
    /// use 5.
    /// </summary>
    public int Shots { get; init; }

    /// <summary>mmlu, wmdp: whether full answers are scored besides letters.</summary>
    public bool FullAnswers { get; init; } = true;

    /// <summary>leak: answers drawn for each question.</summary>
    public int LeakSamples { get; init; } = 16;

    /// <summary>leak: temperature of the sampling, above 0.</summary>
    public double LeakTemperature { get; init; } = 1;

    /// <summary>facts: most new tokens of an answer.</summary>
    public int FactTokens { get; init; } = 16;

    /// <summary>The form in use for questions of a kind.</summary>
    /// <param name="tokenizer">The tokenizer of the model that is asked.</param>
    /// <param name="isBenchmark">Whether they are those of a published benchmark.</param>
    /// <exception cref="UserInputException">The form does not fit the tokenizer.</exception>
    public PromptForm FormFor(HfTokenizer tokenizer, bool isBenchmark)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return (Form ?? new PromptForm()).Resolve(HasChatTemplate ?? tokenizer.ChatTemplate is not null, isBenchmark);
    }

    /// <summary>The same, once the measured model's tokenizer is known.</summary>
    internal PromptForm FormOf(bool isBenchmark) => Resolved(Form ?? new PromptForm(), isBenchmark);

    /// <summary>Whether a form asks questions otherwise than the one in use.</summary>
    internal bool IsOther(PromptForm other, bool isBenchmark) => Resolved(other, isBenchmark) != FormOf(isBenchmark);

    private PromptForm Resolved(PromptForm form, bool isBenchmark)
    {
        var resolved = form.Resolve(HasChatTemplate == true, isBenchmark);
        return PrintsDate ? resolved : resolved with { Date = null };
    }

    /// <summary><c>auto</c>, <c>cpu</c> or <c>cuda</c>.</summary>
    public string Device { get; init; } = "auto";

    /// <summary><c>auto</c>, <c>float32</c>, <c>bfloat16</c> or <c>float16</c>.</summary>
    public string DType { get; init; } = "auto";

    /// <summary>
    /// Limit of resident memory in bytes; a model that does not fit is read layer by layer. Null takes what the machine has to spare.
    /// </summary>
    public long? MemoryLimit { get; init; }

    /// <summary>Where the data of a suite are: its part of <see cref="Data"/>, else <c>data/SUITE</c>.</summary>
    /// <param name="suite">Name of the suite.</param>
    /// <param name="needed">What the suite looks for there, for messages.</param>
    /// <returns>An existing file or directory.</returns>
    /// <exception cref="UserInputException">There is no such file or directory; the message says what was looked for.</exception>
    public string DataOf(string suite, string needed)
    {
        var path = Data;
        if (Data is not null && Data.Contains('=', StringComparison.Ordinal))
            path = Data.Split(',', StringSplitOptions.TrimEntries)
                .FirstOrDefault(entry => entry.StartsWith(suite + "=", StringComparison.Ordinal))
                ?[(suite.Length + 1)..]
                ?? throw new UserInputException($"--data names nothing for the suite {suite}: add {suite}=PATH ({needed}).");
        path ??= $"data/{suite}";
        if (!File.Exists(path) && !Directory.Exists(path))
            throw new UserInputException(
                $"{path}: there is no such directory or file; the suite {suite} looks there for {needed}. Name the place with --data."
            );
        return path;
    }
}
