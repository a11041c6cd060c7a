using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>
/// The methods other than FALCON with the settings that their authors (or OpenUnlearning, where they state none for language models)
/// published for models of 1B parameters and more. docs/baselines.md has the sources.
/// </summary>
public static class MethodPresets
{
    /// <summary>The method of a run that names none.</summary>
    public const string Falcon = "falcon";

    /// <summary>The preset name of a method that has only one.</summary>
    public const string Published = "published";

    private static readonly UnlearnConfig WholeModel = new()
    {
        Preset = Published,
        Data = new DataConfig { BatchSize = 32 },
        Layers = new LayerConfig { Parameters = [LayerConfig.WholeModel] },
        Combination = new CombinationConfig { Kind = GradientCombinationKind.Sum },
        Optimizer = new OptimizerConfig
        {
            LearningRate = 1e-5,
            WeightDecay = 0.01,
            Beta2 = 0.999,
            WarmupSteps = 12,
            Decay = LearningRateDecay.Linear,
        },
        Steps = 125,
    };

    private static readonly UnlearnConfig FewMatrices = new()
    {
        Preset = Published,
        Layers = new LayerConfig { SearchFrom = 0.25, SearchTo = 0.5 },
        Combination = new CombinationConfig { Kind = GradientCombinationKind.Sum },
        Optimizer = new OptimizerConfig { LearningRate = 5e-5, WeightDecay = 0.01, Beta2 = 0.999 },
        Steps = 150,
    };

    /// <summary>Every method, FALCON first.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        Falcon,
        "grad-ascent",
        "grad-diff",
        "kl",
        "npo",
        "simnpo",
        "idk-dpo",
        "rmu",
        "adaptive-rmu",
        "undial",
        "wga",
        "llmu",
        "scrub",
        "ssd",
        "task-vector",
        "circuit-breakers",
    ];

    /// <summary>The settings of a method; of FALCON its default preset.</summary>
    /// <exception cref="UserInputException">There is no such method.</exception>
    public static UnlearnConfig Of(string method) =>
        method == Falcon ? Presets.Falcon : Base(method) with { Method = method, HyperParameters = HyperParametersOf(method) };

    private static UnlearnConfig Base(string method) =>
        method switch
        {
            "rmu" => FewMatrices,
            "adaptive-rmu" => FewMatrices with { Steps = 500 },
            "circuit-breakers" => FewMatrices with
            {
                Data = new DataConfig { BatchSize = 16 },
                Optimizer = FewMatrices.Optimizer with { LearningRate = 1e-4 },
            },
            "undial" => WholeModel with { Optimizer = WholeModel.Optimizer with { LearningRate = 1e-4 } },
            "wga" => WholeModel with { Steps = 65 },
            "llmu" => WholeModel with
            {
                Data = new DataConfig { BatchSize = 2 },
                Optimizer = WholeModel.Optimizer with { LearningRate = 2e-6, WarmupSteps = 0 },
                Steps = 1000,
            },
            "ssd" => WholeModel with { Steps = 0 },
            _ => WholeModel,
        };

    private static MethodConfig HyperParametersOf(string method) => method switch
    {
        "grad-ascent" => new MethodConfig(),
        "grad-diff" => new MethodConfig { Gamma = 1, Alpha = 1 },
        "kl" => new MethodConfig { Gamma = 1, Alpha = 1 },
        "npo" => new MethodConfig { Beta = 0.1, Gamma = 1, Alpha = 1 },
        "simnpo" => new MethodConfig { Beta = 4.5, Delta = 0, Gamma = 0.125, Alpha = 1 },
        "idk-dpo" => new MethodConfig { Beta = 0.1, Gamma = 1, Alpha = 1 },
        "rmu" => new MethodConfig { SteeringCoefficient = 6.5, Alpha = 1200 },
        "adaptive-rmu" => new MethodConfig { SteeringCoefficient = 5, Alpha = 1200 },
        "undial" => new MethodConfig { Beta = 10, Alpha = 0 },
        "wga" => new MethodConfig { Beta = 1, Gamma = 1, Alpha = 1 },
        "llmu" => new MethodConfig { Gamma = 0.5, Lambda = 1, RandomAnswers = 5, Alpha = 1 },
        "scrub" => new MethodConfig { Gamma = 1, Alpha = 0.5, Temperature = 4, ForgetShare = 0.3 },
        "ssd" => new MethodConfig { Alpha = 10, Lambda = 1 },
        "task-vector" => new MethodConfig { Alpha = 5 },
        "circuit-breakers" => new MethodConfig { Alpha = 10 },
        _ => throw new UserInputException($"--method {method}: not known; known are {string.Join(", ", Names)}."),
    };
}
