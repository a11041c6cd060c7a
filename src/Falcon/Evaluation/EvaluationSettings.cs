using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Evaluation.Suites;
using Falcon.Runtime;

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

    /// <summary>
    /// How question and answer become text; null takes the template of the run that made the model, else the default.
    /// </summary>
    public PromptTemplate? Template { get; init; }

    /// <summary>Where the template comes from, for the result; null where <see cref="Template"/> is null.</summary>
    public string? TemplateSource { get; init; }

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

    /// <summary>The template in use. Suites read it; by then the run has chosen one.</summary>
    public PromptTemplate ChosenTemplate => Template ?? new();

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
