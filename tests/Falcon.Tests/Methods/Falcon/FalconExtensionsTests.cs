using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Layers;
using Falcon.Methods.Falcon;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Runs.Configuration;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Falcon;

/// <summary>The terms and settings beyond the paper.</summary>
public sealed class FalconExtensionsTests : IDisposable
{
    private const int Target = 1;

    private static readonly TokenBatch Forget = new([[5, 6, 7, 8, 9], [11, 12, 13, 40]], padId: 0);
    private static readonly TokenBatch Retain = new([[15, 26, 37, 48, 59, 3], [101, 102, 103, 104]], padId: 0);

    private readonly TemporaryFolder _folder = new();
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Weights _weights;
    private readonly CausalLM _model;

    public FalconExtensionsTests() =>
        (_weights, _model) = Checkpoint.LoadModel(TinyModel.Write(_folder.At("model"), seed: 3), float32, CPU);

    public void Dispose()
    {
        _scope.Dispose();
        _weights.Dispose();
        _folder.Dispose();
    }

    private TrainedParameters Trained(string matrix = "mlp.down_proj") =>
        new(_model, TrainedParameters.Select(_model.Config, Target, 1, [matrix]));

    [Fact]
    public void StartNoise_MixesEveryMatrixWithNoiseOfItsSize_TheSameForASeed()
    {
        const double share = 0.3;
        using var trained = Trained();
        var before = trained.Leaves[0].detach().clone();
        trained.MixWithNoise(share, seed: 5);
        var noise = (trained.Leaves[0].detach() - before * (1 - share)) / (share * before.square().mean().sqrt());
        Assert.Equal(0, noise.mean().item<float>(), 0.1);
        Assert.Equal(1, noise.std().item<float>(), 0.1);
        Assert.True(_model.Weight(trained.Names[0]).equal(before).all().item<bool>()); // the frozen model's own stays

        using var again = Trained();
        again.MixWithNoise(share, seed: 5);
        Assert.True(again.Leaves[0].detach().equal(trained.Leaves[0].detach()).all().item<bool>());
        Assert.True(again.Masters[0].Whole().equal(again.Leaves[0].detach()).all().item<bool>());
        using var other = Trained();
        other.MixWithNoise(share, seed: 6);
        Assert.False(other.Leaves[0].detach().allclose(trained.Leaves[0].detach()));
        using var none = Trained();
        none.MixWithNoise(0, seed: 5);
        Assert.True(none.Leaves[0].detach().equal(before).all().item<bool>());
    }

    [Fact]
    public void RetainOutputs_LossIsTheDivergenceOfPlainLogits_AndReachesTheLayersAbove()
    {
        using var trained = new TrainedParameters(_model, TrainedParameters.Select(_model.Config, Target, 1, ["all"], above: 5));
        Assert.Equal("layers 1 to 1", trained.Place); // the model has two
        trained.MixWithNoise(0.2, seed: 4);
        var gradients = Losses(trained, new Outputs { Weight = [3] }).Gradients(Forget, Retain, ones(32) / Math.Sqrt(32));

        // Slowly: text by text from the embedding, every token.
        var (sum, count) = (0.0, 0);
        foreach (var text in Retain.Sequences)
        {
            var alone = new TokenBatch([text], padId: 0);
            Tensor Logits(CausalLM model)
            {
                using var context = alone.Context(model);
                return model.Logits(alone.InputIds(CPU), context)[0].to(float64).log_softmax(-1);
            }

            var (before, after) = (Logits(_model), Logits(trained.Updated(_model)));
            for (var at = 0; at < text.Length; at++)
                (sum, count) = (sum + (before[at].exp() * (before[at] - after[at])).sum().item<double>(), count + 1);
        }

        Assert.Equal(3 * sum / count, gradients.RetainLoss, 1e-4);
        Assert.True(sum > 0.01);
        foreach (var (name, forget, retain) in trained.Names.Zip(gradients.Forget, gradients.Retain))
        {
            Assert.True(retain.abs().max().item<float>() > 0, name);
            Assert.Equal(WeightNames.LayerOf(name) <= Target, forget.abs().max().item<float>() > 0); // the forget loss ends at the target
        }
    }

    private FalconLosses Losses(TrainedParameters trained, RetainTerm retain, params ForgetTerm[] further) =>
        new(_model, trained, Target)
        {
            Settings = new ObjectiveSettings { Forget = [new Contrastive(), .. further], Retain = [retain] },
            FirstRetainBatches = [Retain, Retain],
        };

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void RebuiltEmbedding_IsTrainedByTheRetainLossAlone(bool outputs)
    {
        RetainTerm kind = outputs ? new Outputs { Weight = [3] } : new Tokens { Weight = [3] };
        using var trained = new TrainedParameters(_model, TrainedParameters.Select(_model.Config, Target, 2, ["all"], embedding: true));
        Assert.Equal("embedding and layers 0 to 1", trained.Place);
        trained.MixWithNoise(0.5, seed: 4);
        var losses = Losses(trained, kind, new PromptAdversary { Vectors = 2 });
        using var generator = new Generator(1, CPU);
        var offset = ones(32) / Math.Sqrt(32);
        var whole = losses.Gradients(Forget, Retain, offset, generator);

        Assert.Equal(_model.Config.Architecture.EmbeddingWeight, trained.Names[0]);
        Assert.Equal(0, whole.Forget[0].abs().max().item<float>());
        Assert.All(whole.Forget.Skip(1), gradient => Assert.True(gradient.abs().max().item<float>() > 0));
        Assert.All(whole.Retain, gradient => Assert.True(gradient.abs().max().item<float>() > 0));

        // Parts of a batch add up to the whole.
        using var again = new Generator(1, CPU);
        var split = new FalconLosses(_model, trained, Target) { Settings = losses.Settings, MicroBatchTokens = 5 };
        var parts = split.Gradients(Forget, Retain, offset, again);
        Assert.Equal(whole.RetainLoss, parts.RetainLoss, 1e-4);
        foreach (var (one, other) in whole.Retain.Zip(parts.Retain))
            Assert.True((one - other).abs().max().item<float>() <= 1e-4 * one.abs().max().item<float>() + 1e-6);

        // Nothing is left behind.
        var live = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        for (var time = 0; time < 20; time++)
        {
            using var step = NewDisposeScope();
            _ = losses.Gradients(Forget, Retain, offset, again);
        }

        Assert.Equal(live, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void RetainTokens_LossIsTheCrossEntropyOfThePlainLogits_AndDriftCountsFromTheUnchangedModel()
    {
        using var trained = new TrainedParameters(_model, TrainedParameters.Select(_model.Config, Target, 1, ["all"], above: 5));
        var losses = Losses(trained, new Tokens { Weight = [3] });
        double Slow(CausalLM model)
        {
            double sum = 0;
            foreach (var text in Retain.Sequences)
            {
                var alone = new TokenBatch([text], padId: 0);
                using var context = alone.Context(model);
                var logP = model.Logits(alone.InputIds(CPU), context)[0].to(float64).log_softmax(-1);
                for (var at = 1; at < text.Length; at++) sum -= logP[at - 1, text[at]].item<double>();
            }

            return sum / Retain.TokenCount;
        }

        double Unchanged() => ((RetainTerm)new Tokens()).Build(losses.Inputs).Unchanged!.Value;
        var unchanged = Unchanged();
        Assert.Equal(Slow(_model), unchanged, 1e-4);
        trained.MixWithNoise(0.5, seed: 4);
        Assert.Equal(unchanged, Unchanged(), 1e-9);
        var gradients = losses.Gradients(Forget, Retain, ones(32) / Math.Sqrt(32));
        Assert.Equal(3 * Slow(trained.Updated(_model)), gradients.RetainLoss, 1e-3);
        Assert.True(Math.Abs(gradients.RetainLoss / 3 - unchanged) > 1e-2);
        Assert.Equal(gradients.RetainLoss / 3 - unchanged, gradients.Drift!.Value, 1e-6);

        // Texts of one token have no token to predict.
        var single = losses.Gradients(Forget, new TokenBatch([[7], [9]], padId: 0), ones(32) / Math.Sqrt(32));
        Assert.Equal(0, single.RetainLoss);
        Assert.All(single.Retain, gradient => Assert.Equal(0, gradient.abs().max().item<float>()));
    }

    [Fact]
    public void RunBehind_StatesOfTokensAsPrompt_EqualsTheTextsWithThoseTokens()
    {
        using var trained = new TrainedParameters(_model, TrainedParameters.Select(_model.Config, Target, 2, ["all"]));
        trained.Load(0, trained.Leaves[0].detach() + 0.3 * randn(trained.Leaves[0].shape, generator: new Generator(4, CPU)));
        var passes = new LayerPasses(_model, trained, Target);
        using var context = Forget.Context(_model);
        var embedded = _model.Embed(Forget.InputIds(CPU), context.Positions);
        var mean = TokenRows.Select(embedded, Forget.AttentionMask(CPU)).norm(1).mean();
        var prompt = _model.Weight("model.embed_tokens.weight").index_select(0, tensor(new long[] { 21, 33 })) / mean;

        var (behind, frozen) = passes.RunBehind(Forget, prompt);

        var longer = new TokenBatch([.. Forget.Sequences.Select(text => new[] { 21, 33 }.Concat(text).ToArray())], padId: 0);
        var expected = passes.Run(longer).Updated.narrow(1, 2, Forget.Length);
        var mask = Forget.AttentionMask(CPU);
        Assert.True((TokenRows.Select(behind, mask) - TokenRows.Select(expected, mask)).abs().max().item<float>() < 1e-4);
        Assert.Equal(0, (frozen - passes.Run(Forget).Frozen).abs().max().item<float>());
    }

    [Fact]
    public void FindPrompt_FindsAHigherLossThanItsStart()
    {
        using var trained = new TrainedParameters(_model, TrainedParameters.Select(_model.Config, Target, 2, ["all"]));
        trained.Load(0, trained.Leaves[0].detach() + 0.3 * randn(trained.Leaves[0].shape, generator: new Generator(4, CPU)));
        var goal = randn(32, generator: new Generator(3, CPU));
        var mask = Forget.LossMask(CPU);
        double After(int steps)
        {
            using var generator = new Generator(8, CPU);
            var losses = new FalconLosses(_model, trained, Target);
            using var pass = new StepPass(losses.Inputs, FalconLosses.Step(Forget, Retain, generator), Forget, isForget: true);
            using var adversary = (AdversaryLoss)new PromptAdversary { Vectors = 4, Steps = steps }.Build(losses.Inputs);
            using var loss = new ContrastiveStatesLoss(new Contrastive(), _ => goal);
            var (updated, frozen) = adversary.Attack(loss, pass);
            return ContrastiveLoss.Compute(updated, goal, frozen, mask).item<float>();
        }

        Assert.True(After(3) > After(0), $"{After(3)} {After(0)}");
    }

    [Fact]
    public void ForgetDistinct_IsTheLengthOfTheLongestSharedBeginning()
    {
        int[][] forget =

            [
                [1, 2, 3, 4],
                [9, 9],
                [1, 2, 8],
                [7, 1, 2],
                [1, 2, 3, 5, 6, 7],
            ],
            retain =

            [
                [1, 2, 3, 5, 6],
                [1, 2, 8, 8],
                [1, 7, 7],
                [4, 4],
            ];
        var topic = new TopicTexts(forget, retain, [0, 0, 0, 0, 0], [0, 0, 0, 0]);
        var slow = forget.Select(text =>
            Math.Min(text.Length - 1, retain.Max(other => text.Zip(other).TakeWhile(pair => pair.First == pair.Second).Count()))
        );

        Assert.Equal(slow, topic.ForgetDistinct());
        Assert.Equal([3, 0, 2, 0, 5], topic.ForgetDistinct());
    }

    [Theory]
    [InlineData("objective.forget.promptAdversary.vectors=3")]
    [InlineData("objective.forget.bound=null")]
    [InlineData("objective.retain.statesError={}")]
    [InlineData("objective.filters.conflictProjection=null")]
    [InlineData("objective.forget.contrastive.form=random")]
    [InlineData("data.forgetTokens=distinct")]
    public void Execute_WithTheSwitch_ChangesTheRunAndRepeatsIt(string setting)
    {
        var data = new DataSettings
        {
            Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
            Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
            BatchSize = 4,
        };
        var model = TinyCheckpoint.Write(_folder.At("source"));
        float[] Run(string name, params string[] settings)
        {
            var config = ConfigFile.Read(
                null,
                settings,
                UnlearnConfig.FromPreset("falcon") with
                {
                    Model = model,
                    Data = data,
                    Layers = new LayerSettings
                    {
                        Target = 2,
                        Trained = 2,
                        Parameters = ["all"],
                    },
                    Steps = 4,
                }
            );
            global::Falcon.Runs.UnlearnRun.Execute(config, _folder.At(name), resume: false, global::Falcon.Runtime.RunContext.Quiet);
            using var checkpoint = Checkpoint.Open(_folder.At(name, "model"));
            return [.. checkpoint.Entries.SelectMany(entry => checkpoint.LoadStored(entry.Name).to(float32).data<float>().ToArray())];
        }

        var (plain, first, again) = (Run("plain"), Run("first", setting), Run("again", setting));
        Assert.Equal(first, again);
        Assert.True(plain.Zip(first, (a, b) => Math.Abs(a - b)).Max() > 1e-5);
    }
}
