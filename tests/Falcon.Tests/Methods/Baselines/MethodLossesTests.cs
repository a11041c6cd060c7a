using Falcon.Methods.Baselines;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Baselines;

/// <summary>The losses of methods without golden values, against the formula written out in loops over doubles.</summary>
public class MethodLossesTests
{
    private const int Rows = 2, Length = 4, Vocabulary = 7;

    // Row by row; the label at t + 1 is scored by the logits at t.
    private static readonly long[] LabelValues = [-100, 3, 6, 0, 1, 2, -100, 5];

    private static readonly (int Row, int At, int Target)[] Scored = [(0, 0, 3), (0, 1, 6), (0, 2, 0), (1, 0, 2), (1, 2, 5)];

    [Theory]
    [InlineData(0.0)]
    [InlineData(1.0)]
    [InlineData(2.5)]
    public void WeightedAscent_IsMinusTheMeanOfPToTheBetaTimesCrossEntropy(double beta)
    {
        using var scope = NewDisposeScope();
        var (logits, _, labels) = Inputs();
        var values = Values(logits);
        var expected = Scored.Average(s => -Math.Pow(P(values, s.Row, s.At)[s.Target], beta) * -Math.Log(P(values, s.Row, s.At)[s.Target]));

        Assert.Equal(expected, WeightedAscent.Of(logits, labels, beta).item<float>(), 1e-5);
    }

    [Fact]
    public void WeightedAscent_TheWeightHasNoGradient()
    {
        using var scope = NewDisposeScope();
        var logits = tensor(new[] { 0.3f, -0.2f, 0f, 0f }, 1, 2, 2).requires_grad_();
        var labels = tensor(new[] { -100L, 0 }, 1, 2);
        var p = 1 / (1 + Math.Exp(-0.5));

        var gradient = autograd.grad([WeightedAscent.Of(logits, labels, 2)], [logits])[0];

        // d CE / d logit of the target is p - 1; the loss is -p^2 CE with p^2 constant.
        Assert.Equal(p * p * (1 - p), gradient[0, 0, 0].item<float>(), 1e-6);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(10.0)]
    public void Distillation_IsTheCrossEntropyWithTheLoweredTeacher(double beta)
    {
        using var scope = NewDisposeScope();
        var (logits, frozen, labels) = Inputs();
        var (student, teacher) = (Values(logits), Values(frozen));
        var expected = Scored.Average(s =>
        {
            var lowered = P(teacher, s.Row, s.At, 1, s.Target, beta);
            return -Enumerable.Range(0, Vocabulary).Sum(v => lowered[v] * Math.Log(P(student, s.Row, s.At)[v]));
        });

        Assert.Equal(expected, LoweredLogits.Distillation(logits, frozen, labels, beta).item<float>(), 1e-5);
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(4.0)]
    public void TemperedDivergence_IsTSquaredTimesTheDivergenceOfLogitsOverT(double temperature)
    {
        using var scope = NewDisposeScope();
        var (logits, frozen, _) = Inputs();
        var (student, teacher) = (Values(logits), Values(frozen));
        var mask = zeros([Rows, Length], dtype: ScalarType.Bool);
        foreach (var (row, at, _) in Scored) mask[row, at] = true;
        var expected = temperature * temperature * Scored.Average(s =>
        {
            var (p, q) = (P(teacher, s.Row, s.At, temperature), P(student, s.Row, s.At, temperature));
            return Enumerable.Range(0, Vocabulary).Sum(v => p[v] * Math.Log(p[v] / q[v]));
        });

        Assert.Equal(expected, TemperedOutputs.Divergence(logits, frozen, mask, temperature).item<float>(), 1e-4);
    }

    [Fact]
    public void Dampen_TakesWeightsThatMatterMoreToTheForgetSet()
    {
        using var scope = NewDisposeScope();
        var weight = tensor(new[] { 2f, 2f, 2f, 2f });
        // alpha 10, lambda 4: 11 > 10 * 1 gives 4 * 1/11; 9 is below; 1 > 0 gives 0; at 20 and lambda * 1.5 / 20 gives 0.3.
        weight = Dampening.Dampen(weight, tensor(new[] { 11f, 9f, 1f, 20f }), tensor(new[] { 1f, 1f, 0f, 1.5f }), 10, 4);

        var expected = new[] { 2 * 4 / 11f, 2f, 0f, 2 * 0.3f };
        for (var i = 0; i < 4; i++) Assert.Equal(expected[i], weight[i].item<float>(), 1e-6f);
    }

    [Fact]
    public void AnswerBatch_ScoresAnswersOnly()
    {
        using var scope = NewDisposeScope();
        var batch = new AnswerBatch([[5, 6, 7, 8], [9, 4]], [1, 0], padId: 0);

        Assert.Equal([-100, -100, 7, 8, -100, 4, -100, -100], batch.Labels(CPU).data<long>().ToArray());
        Assert.Equal([false, true, true, false, true, false, false, false], batch.PredictionMask(CPU).data<bool>().ToArray());
    }

    [Fact]
    public void Losses_LeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        var (logits, frozen, labels) = Inputs();
        var mask = labels.ne(-100);
        TensorLeaks.Check(1, results => results.Add(WeightedAscent.Of(logits, labels, 1)));
        TensorLeaks.Check(1, results => results.Add(LoweredLogits.Distillation(logits, frozen, labels, 3)));
        TensorLeaks.Check(1, results => results.Add(TemperedOutputs.Divergence(logits, frozen, mask, 2)));
    }

    // softmax of a position's logits over T, with one of them lowered
    private static double[] P(double[] values, int row, int at, double temperature = 1, int lowered = 0, double by = 0)
    {
        var e = Enumerable
            .Range(0, Vocabulary)
            .Select(v => Math.Exp((values[(row * Length + at) * Vocabulary + v] - (v == lowered ? by : 0)) / temperature))
            .ToArray();
        return [.. e.Select(x => x / e.Sum())];
    }

    private static double[] Values(Tensor logits) => [.. logits.data<float>().Select(x => (double)x)];

    private static (Tensor Logits, Tensor Frozen, Tensor Labels) Inputs()
    {
        using var generator = new Generator(8);
        return (
            randn([Rows, Length, Vocabulary], generator: generator),
            randn([Rows, Length, Vocabulary], generator: generator),
            tensor(LabelValues, Rows, Length)
        );
    }
}
