using System.Globalization;
using Falcon.Runs.Configuration;

namespace Falcon.Research.League;

/// <summary>
/// The settings that are tried for each entrant: a learning rate and one strength, in an order in which the first few already span the
/// range. Methods that look at one layer train all seven matrices of the target and the two layers below it; the others train the whole
/// model, as their papers do. Methods without a strength, or without steps, get as many values of the one setting that they have.
/// </summary>
internal static class TrialGrid
{
    private static readonly double[] ManyRates = [1e-4, 3e-5, 3e-4, 1e-5, 6e-5, 2e-4, 2e-5, 3e-6];
    private static readonly double[] Thresholds = [10, 3, 50, 1.5, 5, 20, 2, 100];

    // The stronger retain part stands the higher rate.
    private static readonly (double Rate, int Strength)[] WholeModel =
    [
        (3e-4, 0),
        (1e-4, 0),
        (3e-4, 1),
        (1e-3, 1),
        (1e-4, 1),
        (1e-3, 0),
        (3e-5, 0),
        (3e-5, 1),
    ];
    private static readonly (double Rate, int Strength)[] FewMatrices =
    [
        (1e-3, 0),
        (1e-3, 1),
        (3e-4, 0),
        (3e-3, 1),
        (3e-4, 1),
        (3e-3, 0),
        (1e-4, 0),
        (1e-4, 1),
    ];

    private static readonly (double RetainWeight, double? Level)[] FalconTrials =
    [
        (5, null),
        (5, 7.5),
        (5, 8.5),
        (5, 6.5),
        (10, 7.5),
        (10, 8.5),
        (3, 7.5),
        (10, null),
    ];

    // RMU: steering coefficient (adaptive: a multiple of the activation's norm), retain weight, learning rate.
    private static readonly (double Coefficient, double Alpha, double Rate)[] Steering =
    [
        (20, 1, 1e-3),
        (50, 10, 1e-3),
        (20, 10, 1e-3),
        (100, 10, 1e-3),
        (50, 1, 1e-3),
        (6.5, 1, 1e-3),
        (6.5, 1200, 1e-3),
        (50, 50, 3e-3),
    ];
    private static readonly (double Coefficient, double Alpha, double Rate)[] AdaptiveSteering =
    [
        (5, 1, 1e-3),
        (5, 10, 1e-3),
        (2, 1, 1e-3),
        (10, 10, 1e-3),
        (2, 10, 1e-3),
        (5, 50, 1e-3),
        (5, 1200, 1e-3),
        (5, 50, 3e-3),
    ];

    // The published presets: as published, then with ever more of what is known to forget here.
    private static readonly (double Rate, double RetainWeight, bool AllMatrices)[] PublishedTrials =
    [
        (5e-5, 100, false),
        (1e-3, 5, true),
        (3e-4, 5, true),
        (1e-3, 20, true),
        (1e-3, 5, false),
        (3e-3, 5, true),
        (1e-3, 2, true),
        (1e-4, 5, true),
    ];

    /// <summary>Most trials that a method has.</summary>
    public const int Largest = 8;

    /// <summary>A trial's configuration, and what is special about it.</summary>
    /// <param name="config">The entrant's settings with model, data and steps.</param>
    /// <param name="trial">From 0 to <see cref="Largest"/> - 1.</param>
    public static (UnlearnConfig Config, string Settings) At(UnlearnConfig config, int trial)
    {
        switch (config.Method)
        {
            case MethodPresets.Falcon when config.Preset == Presets.Default:
                var (retainWeight, level) = FalconTrials[trial];
                return (
                    config with
                    {
                        Loss = config.Loss with { RetainWeight = [retainWeight], BoundLevel = level },
                    },
                    Text($"retainWeight {retainWeight}, boundLevel {(level is { } nats ? nats : "of token frequencies")}")
                );
            case MethodPresets.Falcon:
                var published = PublishedTrials[trial];
                var falcon = Rate(config, published.Rate) with
                {
                    Loss = config.Loss with { RetainWeight = [published.RetainWeight] },
                    Layers = published.AllMatrices ? AllMatrices(config) : config.Layers,
                };
                return (
                    falcon,
                    Text($"lr {published.Rate:0.#e-0}, retainWeight {published.RetainWeight}")
                        + (published.AllMatrices ? ", all matrices of layers 1-3" : "")
                );
            case "rmu" or "adaptive-rmu":
                var steering = (config.Method == "rmu" ? Steering : AdaptiveSteering)[trial];
                var steered = Rate(config, steering.Rate) with
                {
                    HyperParameters = config.HyperParameters with { SteeringCoefficient = steering.Coefficient, Alpha = steering.Alpha },
                    Layers = AllMatrices(config),
                };
                return (
                    steered,
                    Text(
                        $"lr {steering.Rate:0.#e-0}, coefficient {steering.Coefficient}, alpha {steering.Alpha}, all matrices of layers 1-3"
                    )
                );
            case "ssd":
                return Strength(config, "alpha", Thresholds[trial]);
            case "grad-ascent":
                return (Rate(config, ManyRates[trial]), Text($"lr {ManyRates[trial]:0.#e-0}"));
        }

        var ofOneLayer = MethodRules.UsesTargetLayer(config.Method);
        var (rate, strength) = (ofOneLayer ? FewMatrices : WholeModel)[trial];
        var (name, values) = StrengthOf(config.Method);
        var (changed, text) = Strength(
            Rate(ofOneLayer ? config with { Layers = AllMatrices(config) } : config, rate),
            name,
            values[strength]
        );
        return (changed, Text($"lr {rate:0.#e-0}, {text}{(ofOneLayer ? ", all matrices of layers 1-3" : "")}"));
    }

    private static (string Name, double[] Values) StrengthOf(string method) => method switch
    {
        "simnpo" => ("gamma", [0.125, 1]),
        "undial" => ("alpha", [1, 5]),
        "scrub" => ("alpha", [0.5, 5]),
        "task-vector" => ("alpha", [2, 0.7]),
        "circuit-breakers" => ("alpha", [10, 100]),
        _ => ("alpha", [1, 5]), // retain weight of grad-diff, kl, npo, idk-dpo, wga, llmu
    };

    private static (UnlearnConfig Config, string Text) Strength(UnlearnConfig config, string name, double value) =>
        (
            config with
            {
                HyperParameters =
                    name == "alpha" ? config.HyperParameters with { Alpha = value } : config.HyperParameters with { Gamma = value },
            },
            Text($"{name} {value}")
        );

    private static LayerConfig AllMatrices(UnlearnConfig config) => config.Layers with { Target = 3, Parameters = ["all"] };

    private static UnlearnConfig Rate(UnlearnConfig config, double rate) =>
        config with
        {
            Optimizer = config.Optimizer with { LearningRate = rate },
        };

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
