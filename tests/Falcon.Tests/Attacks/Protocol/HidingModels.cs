using Falcon.Attacks.Protocol;
using Falcon.Attacks.Training;
using Falcon.Attacks.Weights;
using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Methods.Baselines;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Attacks.Protocol;

/// <summary>Models made on purpose that know everything and do not say it. The changed weights belong to the caller's scope.</summary>
internal static class HidingModels
{
    private static readonly AttackSettings Settings = new(AttackBudget.Quick, 0, SilentRunLog.Instance, CancellationToken.None);

    /// <summary>Names of the layer matrices that are tensors of the model's own.</summary>
    public static IEnumerable<string> Replaced(CausalLM model, CausalLM taught) =>
        LayerMatrices.All(model.Config).Where(name => !ReferenceEquals(model.Weight(name), taught.Weight(name)));

    /// <summary>
    /// An output head of its own in which the answers' tokens can no longer be told apart: each has the mean of their rows. Everything
    /// below the head knows what it knew.
    /// </summary>
    public static LoadedModel BehindTheHead(LoadedModel taught, global::Falcon.Models.Weights weights, AttackData data)
    {
        var embedding = taught.Model.Weight("model.embed_tokens.weight");
        var answers = data
            .Development.Concat(data.Test)
            .SelectMany(item => item.Choices.SelectMany(choice => taught.Tokenizer.Encode(data.PromptForm.Template.Completion(choice))))
            .Distinct()
            .Select(token => (long)token)
            .ToArray();
        using var rows = tensor(answers, int64);
        using var mean = embedding.index_select(0, rows).mean([0], keepdim: true).expand(answers.Length, embedding.shape[1]);
        var head = embedding.index_copy(0, rows, mean);
        var masked = new CausalLM(taught.Model.Config with { TiedEmbeddings = false }, weights);
        return taught with { Model = masked.With(new Dictionary<string, Tensor> { ["lm_head.weight"] = head }) };
    }

    /// <summary>
    /// The layer matrices moved up the slope of the answers' loss, each weight within the rounding of 4-bit normal-float: stored in that
    /// form they are the original's again.
    /// </summary>
    public static LoadedModel WithinRounding(LoadedModel taught, AttackData data)
    {
        const int Steps = 4;
        using var scope = NewDisposeScope();
        var scoring = new AttackScoring(taught, data, Settings);
        var names = LayerMatrices.All(taught.Model.Config);
        List<ScoredSequence> texts = [.. data.Development.Concat(data.Test).Select(item => scoring.Sequences(item)[item.Gold])];
        var bounds = names.ToDictionary(name => name, name => Bounds(taught.Model.Weight(name)));
        var moved = names.ToDictionary(name => name, name => taught.Model.Weight(name).clone());
        for (var step = 0; step < Steps; step++)
        {
            using var inner = NewDisposeScope();
            Tensor[] leaves = [.. names.Select(name => moved[name].detach().requires_grad_())];
            var gradients = autograd.grad(
                [
                    AnswerLoss
                        .PerText(
                            taught.Model.With(names.Zip(leaves).ToDictionary(pair => pair.First, pair => pair.Second)),
                            texts,
                            scoring.PadId
                        )
                        .mean(),
                ],
                leaves
            );
            using var guard = no_grad();
            foreach (var (name, gradient) in names.Zip(gradients))
            {
                var (low, high) = bounds[name];
                moved[name].copy_((moved[name] + gradient.sign() * (high - low) / 2).clamp(low, high));
            }
        }

        return taught with { Model = taught.Model.With(moved.ToDictionary(one => one.Key, one => one.Value.MoveToOuterDisposeScope())) };
    }

    /// <summary>
    /// Some steps of RMU, which leave the knowledge behind one direction of the forget states (Lucki et al. 2024, arXiv 2409.18025).
    /// </summary>
    /// <param name="taught">The model that knows.</param>
    /// <param name="directory">Where it lies.</param>
    /// <param name="forget">Files of forget texts.</param>
    /// <param name="retain">Files of retain texts.</param>
    public static LoadedModel Steered(LoadedModel taught, string directory, IReadOnlyList<string> forget, IReadOnlyList<string> retain)
    {
        using var folder = new TemporaryFolder();
        var preset = UnlearnConfig.Of("rmu");
        UnlearnRun.Execute(preset with
        {
            Model = directory,
            Data = preset.Data with { Forget = forget, Retain = retain, BatchSize = 8 },
            Layers = preset.Layers with { Target = 3, Trained = 3, Parameters = ["all"] },
            Objective = new ObjectiveSettings
            {
                Forget = [new Misdirection { Coefficient = 20 }],
                Retain = [new SquaredError { Weight = [10] }],
            },
            Optimizer = preset.Optimizer with { LearningRate = 1e-3 },
            Evaluation = new EvaluationConfig { Samples = 0 },
            Steps = 250,
        }, folder.At("run"), resume: false, RunContext.Quiet);
        using var checkpoint = Checkpoint.Open(folder.At("run", "model"));
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var steered = new CausalLM(checkpoint.Config, weights);
        return taught with
        {
            Model = taught.Model.With(
                LayerMatrices.Edited(steered, taught.Model).ToDictionary(name => name, name => steered.Weight(name).clone())
            ),
        };
    }

    // Where a weight may lie without changing its code; the largest of each block, which is its scale, stays.
    private static (Tensor Low, Tensor High) Bounds(Tensor weight)
    {
        const double Inside = 0.98;
        using var scope = NewDisposeScope();
        using var guard = no_grad();
        float[] levels =
        [
            -1f,
            -0.6961928f,
            -0.52507305f,
            -0.3949175f,
            -0.28444138f,
            -0.18477343f,
            -0.091050036f,
            0f,
            0.0795803f,
            0.1609302f,
            0.2461123f,
            0.33791524f,
            0.44070983f,
            0.562617f,
            0.72295684f,
            1f,
        ];
        var codes = BlockQuantization.Apply(weight, QuantizationScheme.NormalFloat4).Codes.to(int64).view(-1, BlockQuantization.BlockSize);
        var blocks = weight.view(-1, BlockQuantization.BlockSize);
        var scale = blocks.abs().amax([1], true);
        Tensor Edge(int side) =>
            tensor(Enumerable.Range(0, 16).Select(i => (levels[i] + levels[Math.Clamp(i + side, 0, 15)]) / 2).ToArray())
                .index_select(0, codes.reshape(-1))
                .view(blocks.shape) * scale;
        var isScale = blocks.abs().eq(scale);
        Tensor Within(Tensor edge) =>
            where(isScale, blocks, blocks + (edge - blocks) * Inside)
                .clamp(-scale * Inside, scale * Inside)
                .where(isScale.logical_not(), blocks)
                .view(weight.shape);
        return (Within(Edge(-1)).MoveToOuterDisposeScope(), Within(Edge(1)).MoveToOuterDisposeScope());
    }
}
