using System.Globalization;
using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>The data of a run.</summary>
public sealed record DataConfig
{
    /// <summary>One file for each forget domain.</summary>
    public IReadOnlyList<string> Forget { get; init; } = [];

    /// <summary>
    /// The retain file that goes with each forget domain, or one for all of them; with a single forget domain as many as there are, which
    /// count as one.
    /// </summary>
    public IReadOnlyList<string> Retain { get; init; } = [];

    /// <summary>Names of fields other than the usual ones, such as <c>question=q,answer=a</c>.</summary>
    public string? Fields { get; init; }

    /// <summary>How question and answer become text.</summary>
    public PromptTemplate Template { get; init; } = new();

    /// <summary>Longest text in tokens; the rest is cut off.</summary>
    public int MaxLength { get; init; } = 512;

    /// <summary>Texts of each kind in a step.</summary>
    public int BatchSize { get; init; } = 4;

    /// <summary>Retain texts in a step; 0 for as many as forget texts.</summary>
    public int RetainBatchSize { get; init; }

    /// <summary>Whether texts are shuffled anew every epoch; otherwise they come in file order.</summary>
    public bool Shuffle { get; init; } = true;

    /// <summary>
    /// How many texts the unchanged model writes itself to be kept besides the retain files, since what stands in no retain text is not
    /// kept; texts with words, or pairs of words, that only the forget files have are left out. 0 for none.
    /// </summary>
    public int GeneratedRetain { get; init; }

    /// <summary>What is wrong with the number of retain files; null for nothing.</summary>
    internal string? RetainFault() =>
        Retain.Count switch
        {
            0 => "data.retain: give at least one retain file (--retain FILE[,FILE])",
            1 => null,
            _ when Forget.Count <= 1 || Retain.Count == Forget.Count => null,
            _ =>
                $"data.retain: {Forget.Count} forget files but {Retain.Count} retain files; give one retain file for each forget file, in "
                    + $"the same order, or one for all",
        };
}

/// <summary>Where to intervene.</summary>
public sealed record LayerConfig
{
    /// <summary>The value of <see cref="Parameters"/> that stands for every tensor of the model.</summary>
    public const string WholeModel = "model";

    /// <summary>The layer whose output enters the losses (0-based); null chooses by mutual information.</summary>
    public int? Target { get; init; }

    /// <summary>Which layer is chosen when <see cref="Target"/> is null.</summary>
    public LayerChoice Choice { get; init; }

    /// <summary>How many layers are trained: the target and the ones right below it.</summary>
    public int Trained { get; init; } = 3;

    /// <summary>
    /// The matrices that are trained, by name within a layer (<c>mlp.down_proj</c> in every family is the one that writes the MLP's output
    /// into the residual stream); <c>all</c> for all of each layer, <c>model</c> for every tensor of the whole model.
    /// </summary>
    public IReadOnlyList<string> Parameters { get; init; } = ["mlp.down_proj"];

    /// <summary>Lowest and highest layer that the automatic choice looks at, as shares of the depth.</summary>
    public double SearchFrom { get; init; }

    /// <summary>See <see cref="SearchFrom"/>.</summary>
    public double SearchTo { get; init; } = 1;

    /// <summary>Texts of each kind behind the mutual information.</summary>
    public int Samples { get; init; } = 200;

    /// <summary>Weight of the mutual information between forget domains.</summary>
    public double Eta { get; init; } = 0.5;

    /// <summary>Bootstrap rounds behind the interval of the mutual information; 0 for none.</summary>
    public int BootstrapRounds { get; init; } = 40;

    /// <summary>
    /// Share of the trained matrices that is replaced by noise before the first step: W becomes (1 - s) W + s rms(W) N(0, 1), and the
    /// retain loss rebuilds what must stay, so that less of what was to be forgotten is left in the weights (after Lee et al., arXiv
    /// 2506.06278, who corrupt the whole model and distil). 0 for none.
    /// </summary>
    public double StartNoise { get; init; }

    /// <summary>
    /// How many layers above the target are trained too, by the retain loss alone; with <see cref="StartNoise"/> they are built anew from
    /// what must stay, so that what they held of the forget set is gone and not only out of reach. 0 for none, as published.
    /// </summary>
    public int RebuiltAbove { get; init; }

    /// <summary>
    /// Whether the embedding of tokens, and the head where it has a matrix of its own, are trained too, by the retain loss alone; with
    /// <see cref="StartNoise"/> they are built anew as the layers are, since rows of tokens that mostly stand in forget texts hold a part
    /// of what is to be forgotten. Tokens that stand in no retain text are lost with it. False, as published.
    /// </summary>
    public bool RebuiltEmbedding { get; init; }
}

/// <summary>The principal offset vector.</summary>
public sealed record OffsetVectorConfig
{
    /// <summary>How it is made.</summary>
    public OffsetVectorForm Form { get; init; } = OffsetVectorForm.Orthogonal;

    /// <summary>Share of the variance of the forget activations whose directions are removed (orthogonal form).</summary>
    public double Variance { get; init; } = 0.95;

    /// <summary>Whether one vector serves a whole topic (true) or each batch has its own (false, as published).</summary>
    public bool PerTopic { get; init; } = true;

    /// <summary>
    /// How many vectors a topic has, or a batch where each has its own: a text is pushed onto the one that its tokens decide, so that no
    /// few directions hold what was done.
    /// </summary>
    public int Rank { get; init; } = 1;
}

/// <summary>The two losses.</summary>
public sealed record LossConfig
{
    /// <summary>Temperature of the contrastive loss.</summary>
    public double Temperature { get; init; } = 0.7;

    /// <summary>Further negatives: frozen activations of other tokens of the batch.</summary>
    public int InBatchNegatives { get; init; }

    /// <summary>What the retention loss compares with the frozen model.</summary>
    public RetainLossKind Retain { get; init; }

    /// <summary>
    /// Directory of the model whose next-token distributions are kept, and which writes the generated retain texts; null for the unchanged
    /// model itself. Lee et al. (arXiv 2506.06278) distil from one that is unlearned already; what it still passes on is measured in
    /// docs/experiments/README.md. It needs the same tokenizer, and <see cref="Retain"/> = outputs.
    /// </summary>
    public string? Teacher { get; init; }

    /// <summary>Weight of the retention loss, one for all topics or one each.</summary>
    public IReadOnlyList<double> RetainWeight { get; init; } = [100];

    /// <summary>Which tokens of a forget text enter the contrastive loss.</summary>
    public ForgetTokens ForgetTokens { get; init; }

    /// <summary>Whether padding positions count in the losses, as in the published code.</summary>
    public bool CountPadding { get; init; }

    /// <summary>Weight of the penalty on growing norms of the forget activations: mean of (|updated| / |frozen| - 1) squared.</summary>
    public double NormPenalty { get; init; }

    /// <summary>Weight of the squared error of the retain activations relative to their norm; the cosine does not see norms.</summary>
    public double RetainErrorWeight { get; init; }

    /// <summary>
    /// Noise on the frozen retain activations in the retention loss, as a share of their norm; 0 for none. After random noise augmentation
    /// (Huu-Tien et al., arXiv 2501.19202).
    /// </summary>
    public double RetainNoise { get; init; }

    /// <summary>
    /// Copies of every retain text with some tokens drawn anew from the retain texts: what the frozen model makes of words it was not given
    /// is to be kept too, so that names which stand in neither set are not taken for forgotten ones. 0 for none.
    /// </summary>
    public int RetainVariants { get; init; }

    /// <summary>Share of the tokens of such a copy that are drawn anew.</summary>
    public double VariantShare { get; init; } = 0.3;

    /// <summary>
    /// Radius of the ball around the trained parameters, as a share of their norm, at whose worst point the forget gradient is taken
    /// (sharpness-aware step; Fan et al., arXiv 2502.05374); 0 for none.
    /// </summary>
    public double Sharpness { get; init; }

    /// <summary>
    /// Radius of an adversary in the residual stream, as a share of each token's norm: he moves what enters the lowest trained layer to
    /// where the forget loss is highest, and the loss there counts as much as that of the texts as they are (latent adversarial training;
    /// Casper et al., arXiv 2403.05030); 0 for none.
    /// </summary>
    public double LatentRadius { get; init; }

    /// <summary>Gradient steps of that adversary.</summary>
    public int LatentSteps { get; init; } = 1;

    /// <summary>
    /// Vectors that an adversary puts before every forget text where it enters the lowest trained layer, as a trained prompt does; the
    /// forget loss behind them counts as much as that of the texts as they are. 0 for none.
    /// </summary>
    public int PromptVectors { get; init; }

    /// <summary>Gradient steps of that adversary, from the states of random tokens of the batch; 0 leaves him those.</summary>
    public int PromptSteps { get; init; } = 2;

    /// <summary>Where the forget loss stops pushing a text.</summary>
    public ForgetBoundKind Bound { get; init; }

    /// <summary>
    /// Mean loss of an answer's tokens in nats at which its text is pushed half as much; null takes that of a model that never learned as
    /// the monitor estimates it, without a monitor that of token frequencies.
    /// </summary>
    public double? BoundLevel { get; init; }

    /// <summary>Softness of the bound in nats: weight = sigmoid((level - loss) / width).</summary>
    public double BoundWidth { get; init; } = 0.5;
}

/// <summary>How gradients are combined.</summary>
public sealed record CombinationConfig
{
    /// <summary>Projection or plain sum.</summary>
    public GradientCombinationKind Kind { get; init; } = GradientCombinationKind.ConflictProjection;

    /// <summary>Weights of the projected forget gradient and the retain gradient in conflict.</summary>
    public IReadOnlyList<double> ConflictWeights { get; init; } = [0.8, 1.2];

    /// <summary>Weights of the forget gradient and the retain gradient without conflict.</summary>
    public IReadOnlyList<double> AlignedWeights { get; init; } = [0.1, 1.9];

    /// <summary>
    /// Share of the energy of the retain texts' inputs to each trained matrix whose directions are taken out of the forget gradient before
    /// the update (collapse of what both share; after Sondej and Yang, arXiv 2509.11816); 0 for none.
    /// </summary>
    public double CollapsedShare { get; init; }

    /// <summary>
    /// A retain gradient whose norm is below this share of the forget gradient's is rounding noise and counts as no conflict.
    /// </summary>
    public double ZeroNormThreshold { get; init; } = 1e-4;
}

/// <summary>The update.</summary>
public sealed record OptimizerConfig
{
    /// <summary>Which rule.</summary>
    public OptimizerKind Kind { get; init; } = OptimizerKind.AdamW;

    /// <summary>Learning rate at its height.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>Decoupled weight decay.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Steps over which the learning rate rises from 0.</summary>
    public int WarmupSteps { get; init; }

    /// <summary>How the learning rate falls after that.</summary>
    public LearningRateDecay Decay { get; init; }

    /// <summary>Decay of the first moment.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment or the curvature.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <summary>Sophia's rho.</summary>
    public double Rho { get; init; } = 0.04;

    /// <summary>Steps between curvature estimates (sophia).</summary>
    public int CurvatureEvery { get; init; } = 10;
}

/// <summary>Everything that decides an unlearning run; written with it and read back.</summary>
public sealed record UnlearnConfig
{
    /// <summary>The unlearning method, one of <see cref="MethodPresets.Names"/>.</summary>
    public string Method { get; init; } = MethodPresets.Falcon;

    /// <summary>
    /// The preset that the values started from: of FALCON falcon, falcon-rebuild, falcon-anew, paper or official, of any other method
    /// published.
    /// </summary>
    public string Preset { get; init; } = "falcon";

    /// <summary>The checkpoint directory.</summary>
    public string Model { get; init; } = "";

    /// <summary>Texts.</summary>
    public DataConfig Data { get; init; } = new();

    /// <summary>Layers and matrices.</summary>
    public LayerConfig Layers { get; init; } = new();

    /// <summary>Principal offset vector.</summary>
    public OffsetVectorConfig OffsetVector { get; init; } = new();

    /// <summary>Losses.</summary>
    public LossConfig Loss { get; init; } = new();

    /// <summary>Hyper-parameters of the methods other than FALCON.</summary>
    public MethodConfig HyperParameters { get; init; } = new();

    /// <summary>Gradient combination.</summary>
    public CombinationConfig Combination { get; init; } = new();

    /// <summary>Optimiser.</summary>
    public OptimizerConfig Optimizer { get; init; } = new();

    /// <summary>Use of memory and processor.</summary>
    public EngineConfig Engine { get; init; } = new();

    /// <summary>What is measured before and after.</summary>
    public EvaluationConfig Evaluation { get; init; } = new();

    /// <summary>What is measured while training, when the run stops and what it keeps.</summary>
    public MonitorConfig Monitor { get; init; } = new();

    /// <summary>Number of steps; step t works on topic t mod T.</summary>
    public int Steps { get; init; } = 80;

    /// <summary>Seed of everything random.</summary>
    public ulong Seed { get; init; }

    /// <summary>Steps between saved states for <c>--resume</c>; 0 saves only when interrupted.</summary>
    public int CheckpointEvery { get; init; } = 100;

    /// <summary>The named preset.</summary>
    /// <exception cref="UserInputException">There is no such preset.</exception>
    public static UnlearnConfig FromPreset(string name) => name switch
    {
        "falcon" => Presets.Falcon,
        "falcon-rebuild" => Presets.FalconRebuild,
        "falcon-anew" => Presets.FalconAnew,
        "paper" => Presets.Paper,
        "official" => Presets.Official,
        _ => throw new UserInputException($"--preset {name}: not known. Use falcon, falcon-rebuild, falcon-anew, paper or official."),
    };

    /// <summary>Checks every rule at once.</summary>
    /// <exception cref="UserInputException">One line that lists all violations.</exception>
    public void Validate()
    {
        List<string> faults = [];
        void Require(bool holds, string fault)
        {
            if (!holds) faults.Add(fault);
        }

        Require(Model.Length > 0, "model: give the checkpoint directory (--model DIR)");
        Require(Data.Forget.Count > 0, "data.forget: give at least one forget file (--forget FILE[,FILE])");
        if (Data.RetainFault() is { } fault) faults.Add(fault);
        Require(Data.BatchSize >= 1, "data.batchSize must be at least 1");
        Require(Data.MaxLength >= 2, "data.maxLength must be at least 2 tokens");
        Require(Data.RetainBatchSize >= 0, "data.retainBatchSize must not be negative; 0 takes data.batchSize");
        Require(Data.GeneratedRetain is >= 0 and <= 1_000_000, "data.generatedRetain must be in 0 to 1000000");
        Require(Layers.Trained >= 1, "layers.trained must be at least 1");
        Require(Layers.Target is null or >= 0, "layers.target must be a layer index from 0");
        Require(Layers.Parameters.Count > 0, "layers.parameters: name at least one matrix");
        Require(Layers.RebuiltAbove >= 0, "layers.rebuiltAbove must not be negative");
        Require(
            Layers.RebuiltAbove == 0 || Loss.Retain != RetainLossKind.HiddenStates,
            "layers.rebuiltAbove needs loss.retain=outputs or tokens: hidden states at the target do not reach the layers above"
        );
        Require(
            !Layers.RebuiltEmbedding || Loss.Retain != RetainLossKind.HiddenStates,
            "layers.rebuiltEmbedding needs loss.retain=outputs or tokens: hidden states at the target do not reach the head"
        );
        Require(
            Loss.Retain == RetainLossKind.HiddenStates || Loss is { RetainErrorWeight: 0, RetainNoise: 0, CountPadding: false },
            "loss.retain=outputs and tokens look at no hidden states: leave loss.retainErrorWeight and loss.retainNoise 0 and "
                + "loss.countPadding false"
        );
        Require(
            Loss.Retain == RetainLossKind.HiddenStates
                || Engine is { Path: EnginePath.Shared, Stream: false, StateInFile: false, Cache: not CacheUse.On },
            "loss.retain=outputs and tokens run the whole model in every step: they need engine.path=shared, engine.stream and "
                + "engine.stateInFile false, and engine.cache other than on"
        );
        Require(
            Loss.Teacher is null || Loss.Retain == RetainLossKind.Outputs,
            "loss.teacher needs loss.retain=outputs: hidden states of another model are no measure, and the texts' own tokens have none"
        );
        Require(Layers.StartNoise is >= 0 and <= 1, "layers.startNoise must be in [0, 1]");
        Require(
            Layers.StartNoise == 0 || (Method == MethodPresets.Falcon && Loss.RetainWeight.All(weight => weight > 0)),
            "layers.startNoise needs the method falcon with loss.retainWeight above 0, which sees whether the noise is made good"
        );
        Require(Layers.Samples >= 8, "layers.samples must be at least 8");
        Require(
            Layers.SearchFrom >= 0 && Layers.SearchFrom <= Layers.SearchTo && Layers.SearchTo <= 1,
            "layers.searchFrom and layers.searchTo must satisfy 0 <= from <= to <= 1"
        );
        Require(OffsetVector.Variance is > 0 and <= 1, "offsetVector.variance must be in (0, 1]");
        Require(Loss.Temperature > 0, "loss.temperature must be above 0");
        Require(Loss.RetainWeight.Count == 1 || Loss.RetainWeight.Count == Data.Forget.Count,
            $"loss.retainWeight: {Loss.RetainWeight.Count} weights for {Data.Forget.Count} forget file(s); give one, or one each");
        Require(Loss.BoundWidth > 0, "loss.boundWidth must be above 0");
        Require(Loss.BoundLevel is null or > 0, "loss.boundLevel must be above 0 nats");
        Require(Loss.RetainNoise is >= 0 and < 1, "loss.retainNoise must be in [0, 1)");
        Require(Loss.RetainVariants is >= 0 and <= 100, "loss.retainVariants must be in 0 to 100");
        Require(Loss.VariantShare is > 0 and <= 1, "loss.variantShare must be above 0 and at most 1");
        Require(Loss.LatentRadius is >= 0 and <= 10, "loss.latentRadius must be in [0, 10]");
        Require(Loss.LatentSteps is >= 1 and <= 100, "loss.latentSteps must be in 1 to 100");
        Require(Loss.PromptVectors is >= 0 and <= 256, "loss.promptVectors must be in 0 to 256");
        Require(Loss.PromptSteps is >= 0 and <= 100, "loss.promptSteps must be in 0 to 100");
        Require(Loss.PromptVectors == 0 || Engine.Path != EnginePath.Plain, "loss.promptVectors needs engine.path=shared");
        Require(Loss.PromptVectors == 0 || Loss.CountPadding == false, "loss.promptVectors needs loss.countPadding=false");
        Require(Loss.LatentRadius == 0 || Engine.Path != EnginePath.Plain, "loss.latentRadius needs engine.path=shared");
        Require(OffsetVector.Rank is >= 1 and <= 4096, "offsetVector.rank must be in 1 to 4096");
        Require(Loss.Sharpness is >= 0 and < 1, "loss.sharpness must be in [0, 1)");
        Require(Combination.CollapsedShare is >= 0 and < 1, "combination.collapsedShare must be in [0, 1)");
        faults.AddRange(Monitor.Faults());
        Require(Loss.RetainWeight.All(weight => weight >= 0), "loss.retainWeight must not be negative");
        Require(
            Combination.ConflictWeights.Count == 2 && Combination.AlignedWeights.Count == 2,
            "combination: conflictWeights and alignedWeights need two numbers each (forget, retain)"
        );
        Require(
            Optimizer.LearningRate > 0 && double.IsFinite(Optimizer.LearningRate),
            string.Create(CultureInfo.InvariantCulture, $"optimizer.learningRate is {Optimizer.LearningRate}; it must be above 0")
        );
        Require(Optimizer.CurvatureEvery >= 1, "optimizer.curvatureEvery must be at least 1");
        Require(Engine.MemoryLimit is null or > 0, "engine.memoryLimit must be above 0 bytes");
        Require(Engine.CacheMemory is null or >= 0, "engine.cacheMemory must not be negative");
        Require(Engine.MicroBatchTokens >= 0, "engine.microBatchTokens must not be negative");
        Require(
            Engine.MicroBatchTokens == 0 || Loss is { InBatchNegatives: 0, CountPadding: false },
            "engine.microBatchTokens: in-batch negatives and counted padding need whole batches; leave it 0"
        );
        Require(Evaluation.Samples >= 0, "evaluation.samples must not be negative");
        Require(
            Evaluation.Probes.All(probe => probe is { Name.Length: > 0, Data.Length: > 0 }),
            "evaluation.probes: each needs a name and a data file"
        );
        Require(
            Evaluation.Probes.DistinctBy(probe => probe.Name).Count() == Evaluation.Probes.Count,
            "evaluation.probes: two have the same name"
        );
        faults.AddRange(MethodRules.Faults(this));
        if (faults.Count > 0) throw new UserInputException($"Wrong settings: {string.Join("; ", faults)}.");
    }
}
