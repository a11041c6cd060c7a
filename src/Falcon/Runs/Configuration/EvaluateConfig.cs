using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>What decides the numbers of an evaluation beside model and data; set on the command line with <c>--set KEY=VALUE</c>.</summary>
public sealed record EvaluateConfig
{
    /// <summary>Plain form: how question and answer become text; the default is that of the run that made the model.</summary>
    public PromptTemplate Template { get; init; } = new();

    /// <summary>Most new tokens of an answer (qa, tofu, leak).</summary>
    public int MaxNewTokens { get; init; } = 128;

    /// <summary>Whether mmlu and wmdp are also scored by full answers.</summary>
    public bool FullAnswers { get; init; } = true;

    /// <summary>leak: answers drawn for each question; the largest k of leak@k.</summary>
    public int LeakSamples { get; init; } = 16;

    /// <summary>leak: temperature of the sampling.</summary>
    public double LeakTemperature { get; init; } = 1;

    /// <summary>facts: most new tokens of an answer.</summary>
    public int FactTokens { get; init; } = 16;

    /// <summary>Checks every rule at once.</summary>
    /// <returns>This configuration.</returns>
    /// <exception cref="UserInputException">One line that lists all violations.</exception>
    public EvaluateConfig Validate()
    {
        Template.Validate();
        List<string> faults = [];
        if (MaxNewTokens < 1) faults.Add("maxNewTokens must be at least 1");
        if (FactTokens < 1) faults.Add("factTokens must be at least 1");
        if (LeakSamples < 1) faults.Add("leakSamples must be at least 1");
        if (!(LeakTemperature > 0) || double.IsInfinity(LeakTemperature)) faults.Add("leakTemperature must be above 0");
        return faults.Count == 0 ? this : throw new UserInputException($"Wrong settings: {string.Join("; ", faults)}.");
    }
}
