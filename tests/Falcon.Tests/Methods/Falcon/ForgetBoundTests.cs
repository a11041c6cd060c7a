using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Methods.Falcon;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Falcon;

/// <summary>The bound on the forget loss against numbers made by hand.</summary>
public sealed class ForgetBoundTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1 << 25)]
    [InlineData(2 * 257)] // the logits of two tokens at a time
    [InlineData(1)]
    public void Weights_UnchangedModel_AreTheSigmoidOfLevelMinusAnswerLoss(long mostLogits)
    {
        var (weights, model) = Checkpoint.LoadModel(TinyCheckpoint.Write(_folder.At("model")), float32, CPU);
        using var owned = weights;
        using var scope = NewDisposeScope();
        int[][] texts = [[5, 6, 7, 8, 9], [11, 12, 13]];
        int[] from = [2, 1];
        var batch = new TokenBatch(texts, padId: 0, countFrom: from);
        using var context = batch.Context(model);
        var mask = batch.LossMask(CPU);
        var hidden = model.HiddenStates(batch.InputIds(CPU), 1, context);

        var bound = new ForgetBound(model, 1, width: 0.5) { MostLogits = mostLogits };
        var actual = bound.Weights(hidden, batch, mask, level: 5).data<float>().ToArray();

        // The other way to the losses: the scorer of the evaluation. Positions 2, 3, 4 of the first text count (the last predicts nothing),
        // 1 and 2 of the second.
        var losses = TokenLikelihoods
            .Compute(model, [new ScoredSequence(texts[0], 3), new ScoredSequence(texts[1], 2)], 0)
            .Select(score => -score.LogProbabilities.Average())
            .ToArray();
        double[] expected =
        [
            .. losses.Zip([3, 2]).SelectMany(item => Enumerable.Repeat(1 / (1 + Math.Exp(-(5 - item.First) / 0.5)), item.Second)),
        ];
        Assert.Equal(expected.Length, actual.Length);
        foreach (var (e, a) in expected.Zip(actual)) Assert.Equal(e, a, 1e-4);
    }

    [Fact]
    public void ContrastiveLoss_WithWeights_IsTheMeanOfWeightTimesTokenLoss()
    {
        using var scope = NewDisposeScope();
        var anchor = tensor(new float[] { 1, 0, 0, 1 }, [2, 2]);
        var positive = tensor(new float[] { 0, 1 });

        var loss = ContrastiveLoss
            .Compute(anchor, positive, anchor, temperature: 1, weights: tensor(new float[] { 0.5f, 0 }))
            .item<float>();

        // First token: cosine 0 with the positive and 1 with its frozen state, loss log(1 + e); the second has weight 0. Mean of 0.5 log(1
        // + e) and 0.
        Assert.Equal(0.25 * Math.Log(1 + Math.E), loss, 1e-6);
    }

    [Fact]
    public void OfTokenFrequencies_SmallSets_IsTheMedianOfTheAnswersMeanSurprise()
    {
        // Retain answers: tokens 1, 1, 2. Forget answers: [1] and [3, 2]; the prompt token 9 counts nowhere. Three distinct tokens, so p =
        // (count + 1) / 6.
        var level = NeverLearnedLevel.OfTokenFrequencies([[9, 1], [9, 3, 2]], [0, 0], [[9, 1, 1, 2]], [0]);

        var first = Math.Log(6.0 / 3);
        var second = (Math.Log(6.0 / 1) + Math.Log(6.0 / 2)) / 2;
        Assert.Equal((first + second) / 2, level, 1e-12);
    }
}
