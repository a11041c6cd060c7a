using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Methods;
using Falcon.Methods.Falcon;
using Falcon.Models;
using Falcon.Runs.Configuration;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Falcon;

/// <summary>The switches beyond the paper: directions left alone, noise on the retain activations, the sharpness-aware gradient.</summary>
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

    private FalconObjective Objective(TrainedParameters trained, LossConfig settings) =>
        new(new LayerPasses(_model, trained, Target), trained, settings);

    [Fact]
    public void RetainNoise_UnchangedModel_LossIsHalfTheSquaredShare()
    {
        // cos(h, h + noise) with noise of norm s|h| orthogonal to h in the mean: 1 - 1/sqrt(1 + s^2) = s^2/2; 10 tokens of 32 dimensions,
        // many draws.
        using var trained = Trained();
        using var generator = new Generator(1, CPU);
        var objective = Objective(trained, new LossConfig { RetainNoise = 0.1, RetainWeight = [1] });
        var offset = ones(32) / Math.Sqrt(32);
        var losses = Enumerable.Range(0, 60).Select(_ => objective.Gradients(Forget, Retain, offset, 1, generator).RetainLoss).ToList();

        Assert.InRange(losses.Average(), 0.9 * 0.005, 1.1 * 0.005);
        Assert.True(losses.Distinct().Count() > 50);
        Assert.Equal(0, Objective(trained, new LossConfig()).Gradients(Forget, Retain, offset, 1, generator).RetainLoss, 1e-9);
    }

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
        var objective = Objective(trained, new LossConfig { Retain = RetainLossKind.Outputs });
        var gradients = objective.Gradients(Forget, Retain, ones(32) / Math.Sqrt(32), 3);

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

    [Theory]
    [InlineData(RetainLossKind.Outputs)]
    [InlineData(RetainLossKind.Tokens)]
    public void RebuiltEmbedding_IsTrainedByTheRetainLossAlone(RetainLossKind kind)
    {
        using var trained = new TrainedParameters(_model, TrainedParameters.Select(_model.Config, Target, 2, ["all"], embedding: true));
        Assert.Equal("embedding and layers 0 to 1", trained.Place);
        trained.MixWithNoise(0.5, seed: 4);
        var settings = new LossConfig { Retain = kind, PromptVectors = 2 };
        using var generator = new Generator(1, CPU);
        var offset = ones(32) / Math.Sqrt(32);
        var whole = Objective(trained, settings).Gradients(Forget, Retain, offset, 3, generator);

        Assert.Equal(_model.Config.Architecture.EmbeddingWeight, trained.Names[0]);
        Assert.Equal(0, whole.Forget[0].abs().max().item<float>());
        Assert.All(whole.Forget.Skip(1), gradient => Assert.True(gradient.abs().max().item<float>() > 0));
        Assert.All(whole.Retain, gradient => Assert.True(gradient.abs().max().item<float>() > 0));

        // Parts of a batch add up to the whole.
        using var again = new Generator(1, CPU);
        var parts = new FalconObjective(new LayerPasses(_model, trained, Target), trained, settings, microBatchTokens: 5).Gradients(
            Forget,
            Retain,
            offset,
            3,
            again
        );
        Assert.Equal(whole.RetainLoss, parts.RetainLoss, 1e-4);
        foreach (var (one, other) in whole.Retain.Zip(parts.Retain))
            Assert.True((one - other).abs().max().item<float>() <= 1e-4 * one.abs().max().item<float>() + 1e-6);

        // Nothing is left behind.
        var live = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        for (var time = 0; time < 20; time++)
        {
            using var step = NewDisposeScope();
            _ = Objective(trained, settings).Gradients(Forget, Retain, offset, 3, again);
        }

        Assert.Equal(live, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void RetainTokens_LossIsTheCrossEntropyOfThePlainLogits_AndDriftCountsFromTheUnchangedModel()
    {
        using var trained = new TrainedParameters(_model, TrainedParameters.Select(_model.Config, Target, 1, ["all"], above: 5));
        var objective = Objective(trained, new LossConfig { Retain = RetainLossKind.Tokens });
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

        var unchanged = objective.UnchangedRetainLoss([Retain, Retain], default);
        Assert.Equal(Slow(_model), unchanged, 1e-4);
        trained.MixWithNoise(0.5, seed: 4);
        Assert.Equal(unchanged, objective.UnchangedRetainLoss([Retain], default), 1e-9);
        var loss = objective.Gradients(Forget, Retain, ones(32) / Math.Sqrt(32), 3).RetainLoss;
        Assert.Equal(3 * Slow(trained.Updated(_model)), loss, 1e-3);
        Assert.True(Math.Abs(loss / 3 - unchanged) > 1e-2);
        Assert.Equal(0, Objective(trained, new LossConfig { Retain = RetainLossKind.Outputs }).UnchangedRetainLoss([Retain], default));

        // Texts of one token have no token to predict.
        var single = objective.Gradients(Forget, new TokenBatch([[7], [9]], padId: 0), ones(32) / Math.Sqrt(32), 3);
        Assert.Equal(0, single.RetainLoss);
        Assert.All(single.Retain, gradient => Assert.Equal(0, gradient.abs().max().item<float>()));
    }

    [Fact]
    public void Sharpness_GradientIsTakenAtTheMovedParameters_WhichComeBackBitForBit()
    {
        const double radius = 0.05;
        using var trained = Trained();
        var before = trained.Leaves[0].detach().clone();
        var offset = randn(32, generator: new Generator(2, CPU));
        offset = offset / offset.norm();

        var sharp = Objective(trained, new LossConfig { Sharpness = radius }).Gradients(Forget, Retain, offset, 1);
        Assert.True(trained.Leaves[0].detach().equal(before).all().item<bool>());

        // By hand: plain gradient, parameters moved along it, plain gradient again.
        var plain = Objective(trained, new LossConfig());
        var first = plain.Gradients(Forget, Retain, offset, 1).Forget[0];
        trained.Load(0, before + first / first.norm() * (radius * before.norm()));
        var expected = plain.Gradients(Forget, Retain, offset, 1).Forget[0];

        Assert.True((sharp.Forget[0] - expected).abs().max().item<float>() <= 1e-5 * expected.abs().max().item<float>() + 1e-7);
        Assert.True((sharp.Forget[0] - first).abs().max().item<float>() > 1e-3 * first.abs().max().item<float>()); // it matters
    }

    [Fact]
    public void RetainDirections_WhatTheForgetLossDoesNotReach_HasNone()
    {
        using var trained = new TrainedParameters(
            _model,
            TrainedParameters.Select(_model.Config, 0, 1, ["all"], above: 5, embedding: true)
        );
        using var generator = new Generator(1, CPU);
        using var found = RetainDirections.Find(new LayerPasses(_model, trained, 0), trained, [Retain], 0.9, generator);
        foreach (var (name, count) in trained.Names.Zip(found.Counts)) Assert.Equal(WeightNames.LayerOf(name) == 0, count > 0);
        List<Tensor> gradients = [.. trained.Leaves.Select(leaf => ones_like(leaf.detach()))];
        foreach (var ((name, before), after) in trained.Names.Zip(gradients).Zip(found.Remove(gradients)))
            Assert.Equal(WeightNames.LayerOf(name) != 0, before.equal(after).all().item<bool>());
    }

    [Fact]
    public void RetainDirections_OfTheDownProjection_AreThePrincipalInputsAndLeaveTheGradient()
    {
        using var trained = Trained();
        var passes = new LayerPasses(_model, trained, Target);
        using var generator = new Generator(5, CPU);
        using var shared = RetainDirections.Find(passes, trained, Enumerable.Repeat(Retain, 40), 0.6, generator);

        // The slow way: the inputs of the down projection themselves. Its output is added to the residual stream, so every token has the
        // same weight.
        using var context = Retain.Context(_model);
        var middle = _model.AttentionBlock(Target, _model.HiddenStates(Retain.InputIds(CPU), Target - 1, context), context);
        var inputs = _model.DownProjectionInput(Target, middle).detach();
        var rows = cat([inputs[0], inputs[1].narrow(0, 0, 4)]).to(float64);
        var (_, values, directions) = linalg.svd(rows, fullMatrices: false);
        var leading = directions[0].to(float32);

        Assert.InRange(shared.Counts[0], 1, 8);
        var removed = shared.Remove([leading.unsqueeze(0).expand(32, -1).contiguous()])[0];
        Assert.True(removed.norm().item<float>() < 0.3 * Math.Sqrt(32), $"left {removed.norm().item<float>()}"); // the strongest input is gone
        var weakest = directions[^1].to(float32).unsqueeze(0).expand(32, -1).contiguous();
        Assert.True(shared.Remove([weakest])[0].norm().item<float>() > 0.7 * Math.Sqrt(32)); // the weakest stays

        var gradient = randn([32, 48], generator: generator);
        var once = shared.Remove([gradient])[0];
        Assert.True((shared.Remove([once])[0] - once).abs().max().item<float>() < 1e-5); // a projection
        Assert.True(once.norm().item<float>() < gradient.norm().item<float>());
    }

    [Fact]
    public void LatentAdversary_StaysInTheBallAndFindsAHigherLossThanChance()
    {
        const double Radius = 0.3;
        using var trained = Trained("all");
        trained.Load(0, trained.Leaves[0].detach() + 0.3 * randn(trained.Leaves[0].shape, generator: new Generator(4, CPU))); // a model that has moved
        var passes = new LayerPasses(_model, trained, Target);
        using var generator = new Generator(3, CPU);
        var goal = randn(32, generator: generator);
        var mask = Forget.LossMask(CPU);
        double Loss(Tensor? perturbation)
        {
            var (updated, frozen) = passes.Run(Forget, perturbation: perturbation);
            return ContrastiveLoss.Compute(updated, goal, frozen, mask).item<float>();
        }

        var settings = new LossConfig { LatentRadius = Radius, LatentSteps = 4 };
        var found = LatentAdversary.Find(passes, Forget, PaddingRows.Uniform, goal, mask, settings);
        var random = Enumerable.Range(0, 50).Select(_ =>
        {
            var draw = randn(found.shape, generator: generator);
            return Loss(draw / draw.norm(-1, true, 2f) * Radius);
        }).ToList();

        Assert.True(found.norm(-1, false, 2f).max().item<float>() <= Radius * 1.0001);
        Assert.True(Loss(found) > random.Max(), $"{Loss(found)} {random.Max()}");
        Assert.True(Loss(found) > Loss(null));
        Assert.False(found.requires_grad);
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
        var passes = new LayerPasses(_model, trained, Target);
        var goal = randn(32, generator: new Generator(3, CPU));
        var mask = Forget.LossMask(CPU);
        double After(int steps)
        {
            using var generator = new Generator(8, CPU);
            var settings = new LossConfig { PromptVectors = 4, PromptSteps = steps };
            var (updated, frozen) = passes.RunBehind(Forget, LatentAdversary.FindPrompt(passes, Forget, goal, mask, settings, generator));
            return ContrastiveLoss.Compute(updated, goal, frozen, mask).item<float>();
        }

        Assert.True(After(3) > After(0), $"{After(3)} {After(0)}");
    }

    [Fact]
    public void LatentRadius_GradientIsThatOfTheLossUnderTheAdversary()
    {
        using var trained = Trained();
        var goal = randn(32, generator: new Generator(2, CPU));
        var settings = new LossConfig { LatentRadius = 0.4 };
        var gradient = Objective(trained, settings).Gradients(Forget, Retain, goal, 1).Forget[0];

        var passes = new LayerPasses(_model, trained, Target);
        var (updated, frozen) = passes.Run(
            Forget,
            perturbation: LatentAdversary.Find(passes, Forget, PaddingRows.Uniform, goal, Forget.LossMask(CPU), settings)
        );
        var (clean, _) = passes.Run(Forget);
        Tensor Loss(Tensor states) => ContrastiveLoss.Compute(states, goal, frozen, Forget.LossMask(CPU));
        var expected = autograd.grad([(Loss(updated) + Loss(clean)) / 2], [.. trained.Leaves])[0];
        Assert.True((gradient - expected).abs().max().item<float>() <= 1e-6);
        var plain = Objective(trained, new LossConfig()).Gradients(Forget, Retain, goal, 1).Forget[0];
        Assert.True((gradient - plain).abs().max().item<float>() > 1e-3 * plain.abs().max().item<float>());
    }

    [Fact]
    public void ForTexts_SeveralVectors_ATextKeepsItsOwnInAnyBatch()
    {
        var vectors = randn([5, 32], generator: new Generator(6, CPU));
        int[][] texts = [.. Enumerable.Range(0, 40).Select(i => new[] { 5 + i, 6, 7 + i })];
        Tensor Of(params int[][] chosen) => OffsetVectors.ForTexts(vectors, new TokenBatch(chosen, padId: 0));

        var together = Of(texts);
        Assert.Equal([40L, 1L, 32L], together.shape);
        for (var i = 0; i < texts.Length; i++)
            Assert.Equal(0, (Of(texts[i])[0] - together[i]).abs().max().item<float>());
        var used = Enumerable
            .Range(0, 40)
            .Select(i => Enumerable.Range(0, 5).Single(row => together[i][0].equal(vectors[row]).all().item<bool>()))
            .Distinct();
        Assert.Equal(5, used.Count());
        Assert.Equal([32L], OffsetVectors.ForTexts(vectors.narrow(0, 0, 1), new TokenBatch(texts, padId: 0)).shape);
    }

    [Fact]
    public void RetainVariants_CopiesDifferInTheShareOfTokensAndRepeatUnderASeed()
    {
        int[][] texts = [.. Enumerable.Range(0, 50).Select(i => Enumerable.Range(i * 40, 40).ToArray())];
        var with = RetainVariants.Add(texts, 2, 0.3, seed: 7);

        Assert.Equal(150, with.Count);
        Assert.Equal(texts, with.Take(50));
        var changed = with.Skip(50).Select((copy, i) => copy.Zip(texts[i % 50]).Count(pair => pair.First != pair.Second)).Sum() / 4000.0;
        Assert.InRange(changed, 0.26, 0.34); // 4000 tokens, standard error 0.007
        Assert.Equal(with, RetainVariants.Add(texts, 2, 0.3, seed: 7));
        Assert.NotEqual(with[60], with[110]);
        Assert.Same(texts, RetainVariants.Add(texts, 0, 0.3, seed: 7));
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
    [InlineData("loss.sharpness=0.02")]
    [InlineData("loss.retainNoise=0.1")]
    [InlineData("combination.collapsedShare=0.5")]
    [InlineData("loss.latentRadius=0.5")]
    [InlineData("loss.promptVectors=3")]
    [InlineData("loss.retainVariants=2")]
    [InlineData("offsetVector.rank=4")]
    [InlineData("loss.forgetTokens=distinct")]
    public void Execute_WithTheSwitch_ChangesTheRunAndRepeatsIt(string setting)
    {
        var data = new DataConfig
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
                Presets.Falcon with
                {
                    Model = model,
                    Data = data,
                    Layers = new LayerConfig
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
