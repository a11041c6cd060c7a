using System.Globalization;
using Falcon.Configuration;

namespace Falcon.Benchmarks;

/// <summary>
/// The settings that are tried for each method: a learning rate and one strength, in an order in which the first few already span the range.
/// Methods without a strength, or without steps, get as many values of the one setting that they have.
/// </summary>
internal static class TrialGrid
{
    private static readonly double[] WholeModelRates = [1e-4, 3e-4, 3e-5, 1e-5];
    private static readonly double[] FewMatricesRates = [1e-3, 3e-3, 3e-4, 1e-4];
    private static readonly double[] ManyRates = [1e-4, 3e-5, 3e-4, 1e-5, 6e-5, 2e-4, 2e-5, 3e-6];
    private static readonly double[] Thresholds = [10, 5, 20, 3, 50, 2, 100, 1.5];

    /// <summary>Most trials that a method has.</summary>
    public const int Largest = 8;

    /// <summary>A trial's configuration, and what is special about it.</summary>
    /// <param name="config">The method's settings with model, data and steps.</param>
    /// <param name="trial">From 0 to <see cref="Largest"/> - 1.</param>
    public static (UnlearnConfig Config, string Settings) At(UnlearnConfig config, int trial)
    {
        if (config.Method == "ssd") return Strength(config, "alpha", Thresholds[trial]);
        if (config.Method == "grad-ascent") return (Rate(config, ManyRates[trial]), RateText(ManyRates[trial]));
        var rates = MethodRules.UsesTargetLayer(config.Method) ? FewMatricesRates : WholeModelRates;
        var (name, values) = StrengthOf(config.Method);
        var (changed, text) = Strength(Rate(config, rates[trial / 2]), name, values[trial % 2]);
        return (changed, $"{RateText(rates[trial / 2])} {text}");
    }

    private static (string Name, double[] Values) StrengthOf(string method) => method switch
    {
        MethodPresets.Falcon => ("retainWeight", [5, 2]),
        "npo" or "idk-dpo" => ("beta", [0.1, 0.5]),
        "simnpo" => ("gamma", [0.125, 1]),
        "undial" => ("beta", [10, 3]),
        "scrub" => ("alpha", [0.5, 5]),
        "task-vector" => ("alpha", [5, 1]),
        "rmu" or "adaptive-rmu" => ("alpha", [1200, 10]),
        "circuit-breakers" => ("alpha", [10, 100]),
        _ => ("alpha", [1, 5]), // retain weight of grad-diff, kl, wga, llmu
    };

    private static (UnlearnConfig Config, string Text) Strength(UnlearnConfig config, string name, double value)
    {
        var h = config.HyperParameters;
        var changed = name switch
        {
            "retainWeight" => config with { Loss = config.Loss with { RetainWeight = [value] } },
            "alpha" => config with { HyperParameters = h with { Alpha = value } },
            "beta" => config with { HyperParameters = h with { Beta = value } },
            _ => config with { HyperParameters = h with { Gamma = value } },
        };
        return (changed, string.Create(CultureInfo.InvariantCulture, $"{name} {value}"));
    }

    private static UnlearnConfig Rate(UnlearnConfig config, double rate) => config with { Optimizer = config.Optimizer with { LearningRate = rate } };

    private static string RateText(double rate) => string.Create(CultureInfo.InvariantCulture, $"lr {rate:0.#e-0}");
}
