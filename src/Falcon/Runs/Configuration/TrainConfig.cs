using System.Globalization;
using System.Text.Json.Serialization;
using Falcon.Data;
using Falcon.Optimization;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>The architecture of a new model.</summary>
public sealed record NewModelConfig
{
    /// <summary>The family: llama, mistral, qwen2 or qwen3.</summary>
    public string Family { get; init; } = "llama";

    /// <summary>Width of the residual stream.</summary>
    public int HiddenSize { get; init; } = 128;

    /// <summary>Number of decoder layers.</summary>
    public int Layers { get; init; } = 6;

    /// <summary>Number of query heads; each has HiddenSize / Heads dimensions.</summary>
    public int Heads { get; init; } = 4;

    /// <summary>Number of key/value heads.</summary>
    public int KeyValueHeads { get; init; } = 4;

    /// <summary>Width of the MLP's inner layer.</summary>
    public int IntermediateSize { get; init; } = 384;

    /// <summary>Longest sequence; longer training texts are cut off.</summary>
    public int MaxPositions { get; init; } = 256;

    /// <summary>Whether the output head is the embedding matrix.</summary>
    public bool TiedEmbeddings { get; init; } = true;

    /// <summary>Number type of the stored weights: bfloat16, float16 or float32; training is in float32.</summary>
    public string Dtype { get; init; } = "bfloat16";
}

/// <summary>The tokenizer of a new model; a model that is fine-tuned keeps its own.</summary>
public sealed record NewTokenizerConfig
{
    /// <summary>Number of tokens of a byte-level BPE learned from the training data.</summary>
    public int VocabularySize { get; init; } = 1024;

    /// <summary>A directory whose tokenizer is taken as it is instead; null learns one.</summary>
    public string? From { get; init; }
}

/// <summary>What a model is trained on.</summary>
public sealed record TrainDataConfig
{
    /// <summary>Files of questions with answers.</summary>
    public IReadOnlyList<string> Questions { get; init; } = [];

    /// <summary>Files of plain texts.</summary>
    public IReadOnlyList<string> Texts { get; init; } = [];

    /// <summary>Names of fields other than the usual ones, such as <c>question=q,answer=a</c>.</summary>
    public string? Fields { get; init; }

    /// <summary>The prompt form: the tokenizer's chat template, plain text, or chosen by the tokenizer.</summary>
    public FormKind Form { get; init; }

    /// <summary>Chat form: a system message before conversations that have none.</summary>
    public string? System { get; init; }

    /// <summary>Chat form: the day for templates that print one; null for the day on which the run begins.</summary>
    public DateOnly? Date { get; init; }

    /// <summary>Plain form: how question and answer become text.</summary>
    public PromptTemplate Template { get; init; } = new();

    /// <summary>The prompt form as one value.</summary>
    [JsonIgnore]
    public PromptForm PromptForm
    {
        get => new() { Kind = Form, System = System, Date = Date, Template = Template };
        init => (Form, System, Date, Template) = (value.Kind, value.System, value.Date, value.Template);
    }

    /// <summary>Weight of a prompt's token in the loss; tokens of answers and plain texts have weight 1.</summary>
    public double QuestionWeight { get; init; } = 0.1;

    /// <summary>Texts in a step.</summary>
    public int BatchSize { get; init; } = 32;
}

/// <summary>Everything that decides a training run; written with the model and read back.</summary>
public sealed record TrainConfig
{
    /// <summary>A model directory to fine-tune; null makes a new model.</summary>
    public string? StartFrom { get; init; }

    /// <summary>Architecture of the new model; without effect on fine-tuning.</summary>
    public NewModelConfig Model { get; init; } = new();

    /// <summary>Tokenizer of the new model; without effect on fine-tuning.</summary>
    public NewTokenizerConfig Tokenizer { get; init; } = new();

    /// <summary>Texts.</summary>
    public TrainDataConfig Data { get; init; } = new();

    /// <summary>Learning rate, its schedule and AdamW's numbers.</summary>
    public OptimizerSettings Optimizer { get; init; } = new() { WeightDecay = 0.01, Beta2 = 0.98, Decay = LearningRateDecay.Cosine };

    /// <summary>Largest norm of the whole gradient; a longer one is scaled down.</summary>
    public double GradientClip { get; init; } = 1;

    /// <summary>How often every text is visited.</summary>
    public int Epochs { get; init; } = 10;

    /// <summary>Number of steps instead of <see cref="Epochs"/>; null for whole epochs.</summary>
    public int? Steps { get; init; }

    /// <summary>
    /// A run file of <c>falcon unlearn</c> whose probes and questions are put to the finished model; the scores go to <c>scores.json</c>
    /// beside the weights, which is what <c>evaluation.control</c> of that run file takes. Null measures nothing.
    /// </summary>
    public string? ScoresFor { get; init; }

    /// <summary>Seed of initial weights and order.</summary>
    public ulong Seed { get; init; }

    /// <summary>Checks every rule at once.</summary>
    /// <exception cref="UserInputException">One line that lists all violations.</exception>
    public void Validate()
    {
        List<string> faults = [];
        void Require(bool holds, string fault)
        {
            if (!holds) faults.Add(fault);
        }

        Require(Data.Questions.Count + Data.Texts.Count > 0, "data: give at least one file in data.questions or data.texts");
        Require(Data.BatchSize >= 1, "data.batchSize must be at least 1");
        Require(Data.QuestionWeight is >= 0 and <= 1, "data.questionWeight must be from 0 to 1");
        Require(
            Model.HiddenSize >= 2
                && Model.Layers >= 1
                && Model.Heads >= 1
                && Model.KeyValueHeads >= 1
                && Model.IntermediateSize >= 1
                && Model.MaxPositions >= 2,
            "model: sizes must be at least 1 (hiddenSize and maxPositions at least 2)"
        );
        Require(
            Model.Heads < 1 || Model.HiddenSize % (2 * Model.Heads) == 0,
            $"model.hiddenSize ({Model.HiddenSize}) must be a multiple of twice model.heads ({Model.Heads})"
        );
        Require(
            Model.KeyValueHeads < 1 || Model.Heads % Model.KeyValueHeads == 0,
            $"model.keyValueHeads ({Model.KeyValueHeads}) must divide model.heads ({Model.Heads})"
        );
        Require(Model.Dtype is "bfloat16" or "float16" or "float32", $"model.dtype is \"{Model.Dtype}\"; use bfloat16, float16 or float32");
        Require(
            Tokenizer.From is not null || Tokenizer.VocabularySize >= 258,
            "tokenizer.vocabularySize must be at least 258 (the bytes and two special tokens)"
        );
        Require(Optimizer.Kind == OptimizerKind.AdamW, "optimizer.kind: training uses adamW");
        Require(
            Optimizer.LearningRate > 0 && double.IsFinite(Optimizer.LearningRate),
            string.Create(CultureInfo.InvariantCulture, $"optimizer.learningRate is {Optimizer.LearningRate}; it must be above 0")
        );
        Require(GradientClip > 0, "gradientClip must be above 0");
        Require(Epochs >= 1, "epochs must be at least 1");
        Require(Steps is null or >= 1, "steps must be at least 1");
        if (faults.Count > 0) throw new UserInputException($"Wrong settings: {string.Join("; ", faults)}.");
    }
}
