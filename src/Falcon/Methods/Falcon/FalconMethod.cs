using Falcon.Data;
using Falcon.Layers;
using Falcon.Methods.Baselines;
using Falcon.Methods.Gradients;
using Falcon.Methods.Terms;
using Falcon.Optimization;

namespace Falcon.Methods.Falcon;

/// <summary>FALCON and its presets. docs/falcon.md lists every difference from the paper and its code.</summary>
internal static class FalconMethod
{
    // More layers than any model has.
    private const int WholeDepth = 1000;

    private static readonly ConflictProjection EvenWeights = new() { ConflictWeights = [1, 1], AlignedWeights = [1, 1] };

    private static readonly MethodSettings Falcon = new()
    {
        Data = new DataSettings { BatchSize = 8, ForgetTokens = ForgetTokens.Answer },
        Layers = new LayerSettings
        {
            Parameters = ["all"],
            SearchFrom = 0.25,
            SearchTo = 0.5,
        },
        Objective = new ObjectiveSettings
        {
            Forget = [new Contrastive(), new NormPenalty(), new AnswerBound()],
            Retain = [new HiddenStates { Weight = [5] }],
            Filters = [EvenWeights],
        },
        Optimizer = new OptimizerSettings { LearningRate = 1e-3, Decay = LearningRateDecay.Cosine },
        Steps = 120,
    };

    private static readonly MethodSettings Rebuild = new()
    {
        Data = new DataSettings
        {
            BatchSize = 8,
            RetainBatchSize = 32,
            GeneratedRetain = 8000,
            ForgetTokens = ForgetTokens.Distinct,
        },
        Layers = new LayerSettings
        {
            Parameters = ["all"],
            SearchFrom = 0.15,
            SearchTo = 0.25,
            Trained = WholeDepth,
            RebuiltAbove = WholeDepth,
            StartNoise = 0.7,
        },
        Objective = new ObjectiveSettings
        {
            Forget = [new Contrastive(), new NormPenalty(), new PromptAdversary()],
            Retain = [new Outputs { Weight = [3] }],
            Filters = [EvenWeights],
        },
        Optimizer = new OptimizerSettings { LearningRate = 3e-3, Decay = LearningRateDecay.Cosine },
        Steps = 1800,
    };

    private static readonly MethodSettings Anew = Rebuild with
    {
        Data = Rebuild.Data with { ForgetTokens = ForgetTokens.Answer },
        Layers = Rebuild.Layers with { StartNoise = 1, RebuiltEmbedding = true },
        Objective = Rebuild.Objective with { Forget = [new Contrastive(), new AnswerBound { Level = 1 }] },
        Steps = 3000,
    };

    private static readonly MethodSettings Paper = new()
    {
        Objective = new ObjectiveSettings
        {
            Forget = [new Contrastive { PerTopic = false }],
            Retain = [new HiddenStates()],
            Filters = [new ConflictProjection()],
        },
        Optimizer = new OptimizerSettings
        {
            Kind = OptimizerKind.Sophia,
            LearningRate = 5e-5,
            WeightDecay = 1e-3,
            Beta1 = 0.965,
            Beta2 = 0.99,
            Rho = 0.04,
            CurvatureEvery = 10,
        },
        Steps = 80,
    };

    private static readonly MethodSettings Official = new()
    {
        Data = new DataSettings { Shuffle = false, CountPadding = true },
        Objective = new ObjectiveSettings
        {
            Forget = [new Contrastive { Form = OffsetVectorForm.Official, PerTopic = false }],
            Retain = [new HiddenStates()],
            Filters = [new ConflictProjection { ZeroNormThreshold = 0 }],
        },
        Optimizer = new OptimizerSettings
        {
            Kind = OptimizerKind.SophiaOfficial,
            LearningRate = 5e-5,
            WeightDecay = 1e-3,
            Beta1 = 0.965,
            Beta2 = 0.99,
            Rho = 0.9,
        },
        Steps = 80,
    };

    public static UnlearningMethod Method { get; } =
        new(
            "falcon",
            "Contrastive orthogonal unalignment: forget hidden states move onto a principal offset vector, retain hidden states stay, and "
                + "conflicting gradients are projected onto orthogonal subspaces.",
            "Hu et al., NeurIPS 2025 (arXiv 2502.01472)",
            [
                new MethodPreset(
                    "falcon",
                    "The default: the paper's ideas with the faults of the published code mended.",
                    Falcon,
                    OfFalcon()
                ),
                new MethodPreset(
                    "falcon-rebuild",
                    "For small models, where attacks must bring nothing back: noise is mixed into every layer, and the layers are rebuilt "
                        + "by distilling the unchanged model on the retain set and on texts that it writes, while the forget loss holds "
                        + "at a low layer. Costs a part of retraining.",
                    Rebuild,
                    OfRebuilding()
                ),
                new MethodPreset(
                    "falcon-anew",
                    "For small models that have memorised the forget set, where falcon-rebuild hides: every layer and the embedding begin "
                        + "as pure noise, and the forget loss works only on answers that come back.",
                    Anew,
                    OfRebuilding()
                ),
                new MethodPreset("paper", "The formulas of the paper, with Sophia and a true curvature estimate.", Paper, OfPublished()),
                new MethodPreset(
                    "official",
                    "What the published code computes, number for number (Zephyr-7B settings).",
                    Official,
                    OfPublished()
                ),
            ]
        );

    private static IReadOnlyList<Trial> OfFalcon()
    {
        (double RetainWeight, double? Level)[] grid =
            [(5, null), (5, 7.5), (5, 8.5), (5, 6.5), (10, 7.5), (10, 8.5), (3, 7.5), (10, null)];
        return
        [
            .. grid.Select(one =>
            {
                var weight = PublishedSettings.Number(one.RetainWeight);
                var level = one.Level is { } nats ? PublishedSettings.Number(nats) : null;
                return new Trial(
                    $"retainWeight {weight}, boundLevel {level ?? "of token frequencies"}",
                    $"objective.retain.hiddenStates.weight={weight}",
                    $"objective.forget.bound.level={level ?? "null"}"
                );
            }),
        ];
    }

    // As published, then with ever more of what is known to forget on small models.
    private static IReadOnlyList<Trial> OfPublished()
    {
        (double Rate, double RetainWeight, bool AllMatrices)[] grid =
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
        return
        [
            .. grid.Select(one =>
            {
                var weight = PublishedSettings.Number(one.RetainWeight);
                return new Trial(
                    $"lr {PublishedSettings.Rate(one.Rate)}, retainWeight {weight}"
                        + (one.AllMatrices ? PublishedSettings.AllMatricesText : ""),
                    [
                        PublishedSettings.RateSetting(one.Rate),
                        $"objective.retain.hiddenStates.weight={weight}",
                        .. one.AllMatrices ? PublishedSettings.AllMatrices : [],
                    ]
                );
            }),
        ];
    }

    // How much is rebuilt, and how fast: a run of few steps can repair only so much noise.
    private static IReadOnlyList<Trial> OfRebuilding()
    {
        (double Noise, double Rate)[] grid =
            [(0.7, 3e-3), (0.4, 3e-3), (0.2, 3e-3), (0.4, 1e-3), (1, 3e-3), (0.2, 1e-3), (0.7, 1e-3), (0.1, 1e-3)];
        return
        [
            .. grid.Select(one =>
            {
                var noise = PublishedSettings.Number(one.Noise);
                return new Trial(
                    $"lr {PublishedSettings.Rate(one.Rate)}, startNoise {noise}",
                    PublishedSettings.RateSetting(one.Rate),
                    $"layers.startNoise={noise}"
                );
            }),
        ];
    }
}
