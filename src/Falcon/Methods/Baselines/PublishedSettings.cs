using System.Globalization;
using Falcon.Data;
using Falcon.Layers;
using Falcon.Methods.Terms;
using Falcon.Optimization;

namespace Falcon.Methods.Baselines;

/// <summary>
/// What the published settings of the baselines have in common, and the grids that a comparison tries. The settings are the authors' for
/// models of 1B parameters and more, or OpenUnlearning's where the authors give none for language models. docs/baselines.md has the
/// sources.
/// </summary>
internal static class PublishedSettings
{
    /// <summary>Most trials that a method has.</summary>
    public const int Trials = 8;

    private static readonly double[] ManyRates = [1e-4, 3e-5, 3e-4, 1e-5, 6e-5, 2e-4, 2e-5, 3e-6];

    // A stronger retain part tolerates a higher learning rate. The first few trials already span the range.
    private static readonly (double Rate, int Strength)[] WholeModelGrid =
        [(3e-4, 0), (1e-4, 0), (3e-4, 1), (1e-3, 1), (1e-4, 1), (1e-3, 0), (3e-5, 0), (3e-5, 1)];

    private static readonly (double Rate, int Strength)[] FewMatricesGrid =
        [(1e-3, 0), (1e-3, 1), (3e-4, 0), (3e-3, 1), (3e-4, 1), (3e-3, 0), (1e-4, 0), (1e-4, 1)];

    /// <summary>The whole model is trained.</summary>
    public static MethodSettings WholeModel(ObjectiveSettings objective) =>
        new()
        {
            Objective = objective,
            Data = new DataSettings { BatchSize = 32 },
            Layers = new LayerSettings { Parameters = [LayerSettings.WholeModel] },
            Optimizer = new OptimizerSettings
            {
                LearningRate = 1e-5,
                WeightDecay = 0.01,
                Beta2 = 0.999,
                WarmupSteps = 12,
                Decay = LearningRateDecay.Linear,
            },
            Steps = 125,
        };

    /// <summary>A few matrices up to a target layer are trained.</summary>
    public static MethodSettings FewMatrices(ObjectiveSettings objective) =>
        new()
        {
            Objective = objective,
            Layers = new LayerSettings { SearchFrom = 0.25, SearchTo = 0.5 },
            Optimizer = new OptimizerSettings
            {
                LearningRate = 5e-5,
                WeightDecay = 0.01,
                Beta2 = 0.999,
            },
            Steps = 150,
        };

    /// <summary>Learning rates and two strengths for a method that trains the whole model.</summary>
    /// <param name="name">What the strength is called in tables.</param>
    /// <param name="key">Its key in run files.</param>
    /// <param name="weak">The smaller value.</param>
    /// <param name="strong">The larger value.</param>
    public static IReadOnlyList<Trial> RatesAndStrength(string name, string key, double weak, double strong) =>
        [.. WholeModelGrid.Select(trial => RateAndStrength(trial, name, key, [weak, strong], []))];

    /// <summary>The same for a method that looks at one layer: all matrices of the target and the two layers below it.</summary>
    /// <inheritdoc cref="RatesAndStrength" path="/param"/>
    public static IReadOnlyList<Trial> RatesAndStrengthOfLayers(string name, string key, double weak, double strong) =>
        [.. FewMatricesGrid.Select(trial => RateAndStrength(trial, name, key, [weak, strong], AllMatrices))];

    /// <summary>Learning rates alone, for a method without a strength.</summary>
    public static IReadOnlyList<Trial> Rates() => [.. ManyRates.Select(rate => new Trial($"lr {Rate(rate)}", RateSetting(rate)))];

    /// <summary>All matrices of layers 1 to 3.</summary>
    public static IReadOnlyList<string> AllMatrices { get; } = ["layers.target=3", "layers.parameters=[\"all\"]"];

    /// <summary>What <see cref="AllMatrices"/> is called in tables.</summary>
    public const string AllMatricesText = ", all matrices of layers 1-3";

    /// <summary>A learning rate as tables show it.</summary>
    public static string Rate(double rate) => rate.ToString("0.#e-0", CultureInfo.InvariantCulture);

    /// <summary>A learning rate as a setting.</summary>
    public static string RateSetting(double rate) => $"optimizer.learningRate={Number(rate)}";

    /// <summary>A number as a setting.</summary>
    public static string Number(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    private static Trial RateAndStrength(
        (double Rate, int Strength) trial,
        string name,
        string key,
        double[] values,
        IReadOnlyList<string> further
    )
    {
        var value = Number(values[trial.Strength]);
        var text = $"lr {Rate(trial.Rate)}, {name} {value}{(further.Count > 0 ? AllMatricesText : "")}";
        return new Trial(text, [RateSetting(trial.Rate), $"{key}={value}", .. further]);
    }
}
