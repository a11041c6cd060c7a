namespace Falcon.Runs.Configuration;

/// <summary>The settings of the method. Every difference is listed in docs/falcon.md.</summary>
public static class Presets
{
    /// <summary>The preset of a run that names none.</summary>
    public const string Default = "falcon";

    /// <summary>What the published code computes, number for number (its Zephyr-7B settings).</summary>
    public static UnlearnConfig Official { get; } =
        new()
        {
            Preset = "official",
            Data = new DataConfig { Shuffle = false },
            OffsetVector = new OffsetVectorConfig { Form = OffsetVectorForm.Official, PerTopic = false },
            Loss = new LossConfig { RetainWeight = [100], CountPadding = true },
            Combination = new CombinationConfig { ZeroNormThreshold = 0 },
            Optimizer = new OptimizerConfig
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

    /// <summary>
    /// The formulas of the paper: orthogonal offset vector, one negative, conflict projection, Sophia with a true curvature estimate.
    /// </summary>
    public static UnlearnConfig Paper { get; } =
        new()
        {
            Preset = "paper",
            OffsetVector = new OffsetVectorConfig { Form = OffsetVectorForm.Orthogonal, PerTopic = false },
            Loss = new LossConfig { RetainWeight = [100] },
            Optimizer = new OptimizerConfig
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

    /// <summary>The default: the paper's ideas with the faults of the published code mended.</summary>
    public static UnlearnConfig Falcon { get; } =
        new()
        {
            Preset = "falcon",
            Data = new DataConfig { BatchSize = 8 },
            Layers = new LayerConfig
            {
                Parameters = ["all"],
                SearchFrom = 0.25,
                SearchTo = 0.5,
            },
            Loss = new LossConfig
            {
                RetainWeight = [5],
                ForgetTokens = ForgetTokens.Answer,
                NormPenalty = 0.05,
                Bound = ForgetBoundKind.AnswerLoss,
            },
            Combination = new CombinationConfig { ConflictWeights = [1, 1], AlignedWeights = [1, 1] },
            Optimizer = new OptimizerConfig
            {
                Kind = OptimizerKind.AdamW,
                LearningRate = 1e-3,
                Decay = LearningRateDecay.Cosine,
            },
            Steps = 120,
        };

    /// <summary>
    /// For small models, where what was forgotten must not come back under attack: every layer is mixed with noise and built anew from the
    /// retain texts and from texts that the unchanged model writes, by its next-token distributions, while FALCON's forget loss, under an
    /// adversary's prompt, holds at a low layer. It costs a part of training the model anew and needs the whole model in training.
    /// </summary>
    public static UnlearnConfig FalconRebuild { get; } =
        new()
        {
            Preset = "falcon-rebuild",
            Data = new DataConfig
            {
                BatchSize = 8,
                RetainBatchSize = 32,
                GeneratedRetain = 8000,
            },
            Layers = new LayerConfig
            {
                Parameters = ["all"],
                SearchFrom = 0.15,
                SearchTo = 0.25,
                Trained = WholeDepth,
                RebuiltAbove = WholeDepth,
                StartNoise = 0.7,
            },
            Loss = new LossConfig
            {
                Retain = RetainLossKind.Outputs,
                RetainWeight = [3],
                ForgetTokens = ForgetTokens.Distinct,
                NormPenalty = 0.05,
                PromptVectors = 8,
                PromptSteps = 2,
            },
            Combination = new CombinationConfig { ConflictWeights = [1, 1], AlignedWeights = [1, 1] },
            Optimizer = new OptimizerConfig
            {
                Kind = OptimizerKind.AdamW,
                LearningRate = 3e-3,
                Decay = LearningRateDecay.Cosine,
            },
            Steps = 1800,
        };

    /// <summary>
    /// For small models that say by heart what they shall forget, where <see cref="FalconRebuild"/> hides: every layer and the embedding
    /// begin as pure noise and are built anew from the retain texts and from texts that the unchanged model writes. FALCON's forget loss
    /// works on an answer when the model comes to tell it again, and else is off: pushed below what a model that was never taught says, an
    /// answer would only be suppressed.
    /// </summary>
    public static UnlearnConfig FalconAnew { get; } =
        FalconRebuild with
        {
            Preset = "falcon-anew",
            Layers = FalconRebuild.Layers with { StartNoise = 1, RebuiltEmbedding = true },
            Loss = new LossConfig
            {
                Retain = RetainLossKind.Outputs,
                RetainWeight = [3],
                ForgetTokens = ForgetTokens.Answer,
                Bound = ForgetBoundKind.AnswerLoss,
                BoundLevel = 1,
            },
            Steps = 3000,
        };

    // More layers than any model has.
    private const int WholeDepth = 1000;
}
