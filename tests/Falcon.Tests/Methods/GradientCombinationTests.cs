using Falcon.Methods.Gradients;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Terms;

public class GradientCombinationTests
{
    public static TheoryData<string> GoldenNames => GoldenCases.Names("grad_conflict");

    [Theory, MemberData(nameof(GoldenNames)), Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Combine_GoldenCase_AgreesWithThePublishedCode(string name)
    {
        var golden = GoldenCases.OrSkip("grad_conflict");
        var expected = golden.Case(name);
        var set = name[..name.LastIndexOf('.')];
        var conflict = expected.GetProperty("conflict_w");
        var aligned = expected.GetProperty("align_w");
        var weights = new ConflictWeights(conflict[0].GetDouble(), conflict[1].GetDouble(), aligned[0].GetDouble(), aligned[1].GetDouble());
        for (var i = 0; i < expected.GetProperty("n_params").GetInt32(); i++)
        {
            using var scope = NewDisposeScope();
            var result = GradientCombination.Combine(
                golden.Tensors[$"{set}.unlearn.{i}"],
                golden.Tensors[$"{set}.retain.{i}"],
                weights,
                zeroNormThreshold: 0
            );

            Assert.True(result.Gradient.isfinite().all().item<bool>());
            Assert.Equal(GoldenCases.Number(expected.GetProperty("cosines")[i]), result.Cosine, 1e-5);
            // Where the published code divides by an underflowed r.r there is nothing to agree with.
            if (!expected.GetProperty("finite")[i].GetBoolean()) continue;
            Assert.Equal(expected.GetProperty("branch")[i].GetString() == "conflict", result.Conflict);
            GoldenCases.CloseRelative(
                golden.Tensors[$"{name}.combined.{i}"],
                result.Gradient,
                expected.GetProperty("tolerance_rel_to_max").GetDouble(),
                $"{name} {i}"
            );
        }
    }

    [Fact]
    public void Combine_OpposedGradients_RemovesRetainComponent()
    {
        // By hand: f = (1, -1), r = (0, 2): c = -1/sqrt(2); the projected f is (1, 0); 0.8 (1, 0) + 1.2 (0, 2).
        using var scope = NewDisposeScope();
        var result = GradientCombination.Combine(tensor(new[] { 1f, -1f }), tensor(new[] { 0f, 2f }));
        Assert.True(result.Conflict);
        Assert.Equal(-Math.Sqrt(0.5), result.Cosine, 1e-6);
        GoldenCases.Close(tensor(new[] { 0.8f, 2.4f }), result.Gradient, 1e-6, "combined");
    }

    [Fact]
    public void Combine_ProjectedForgetGradientIsOrthogonalToTheRetainGradient()
    {
        CsCheck.Check.Sample(CsCheck.Gen.Int[0, 100000], seed =>
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator((ulong)seed);
            var (f, r) = (randn([4, 3], generator: generator), randn([4, 3], generator: generator));
            var (gradient, cosine, conflict) = GradientCombination.Combine(f, r, new ConflictWeights(1, 0, 1, 0));
            Assert.Equal(cosine < 0, conflict);
            if (conflict) Assert.InRange(Math.Abs((gradient * r).sum().item<float>()), 0, 1e-5);
            else GoldenCases.Close(f, gradient, 0, "aligned");
        }, iter: 50, threads: 1);
    }

    [Fact]
    public void Combine_CosineDoesNotChangeWithScale()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var (f, r) = (randn([4, 3], generator: generator), randn([4, 3], generator: generator));
        var plain = GradientCombination.Combine(f, r).Cosine;
        Assert.Equal(nn.functional.cosine_similarity(f.reshape(-1), r.reshape(-1), dim: 0).item<float>(), plain, 1e-6);
        CsCheck.Check.Sample(CsCheck.Gen.Double[1e-3, 1e3], scale =>
            Assert.Equal(plain, GradientCombination.Combine(f * scale, r).Cosine, 1e-5), iter: 30, threads: 1);
    }

    [Fact]
    public void Combine_RetainGradientOfRoundingNoise_IsNoConflict()
    {
        using var scope = NewDisposeScope();
        var forget = tensor(new[] { 0.2f, -0.1f });
        var retain = forget * -1e-5;
        Assert.False(GradientCombination.Combine(forget, retain).Conflict);
        Assert.True(GradientCombination.Combine(forget, retain, zeroNormThreshold: 0).Conflict);
    }

    [Fact]
    public void Combine_GradientsWhoseSquaresUnderflow_StayFinite()
    {
        using var scope = NewDisposeScope();
        var result = GradientCombination.Combine(tensor(new[] { 1e-23f, -1e-23f }), tensor(new[] { 0f, 2e-23f }));
        Assert.True(result.Conflict);
        GoldenCases.CloseRelative(tensor(new[] { 0.8e-23f, 2.4e-23f }), result.Gradient, 1e-6, "tiny");
    }

    [Fact]
    public void Combine_WrongInput_IsRefused()
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentException>(() => GradientCombination.Combine(ones(2), ones(3)));
        Assert.Throws<NumericalFailureException>(() => GradientCombination.Combine(tensor(new[] { float.NaN, 1f }), ones(2)));
    }

    [Fact]
    public void WeightedSum_AddsBothGradients()
    {
        using var scope = NewDisposeScope();
        GoldenCases.Close(tensor(new[] { 3.5f, 3.5f }), GradientCombination.WeightedSum(ones(2), ones(2) * 2, 0.5, 1.5), 1e-6, "sum");
    }

    [Fact]
    public void Combine_LeavesNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        var (f, r, none) = (ones(3), -ones(3), zeros(3));
        TensorLeaks.Check(1, results => results.Add(GradientCombination.Combine(f, r).Gradient));
        TensorLeaks.Check(1, results => results.Add(GradientCombination.Combine(f, f).Gradient));
        TensorLeaks.Check(1, results => results.Add(GradientCombination.Combine(f, none).Gradient));
        TensorLeaks.Check(1, results => results.Add(GradientCombination.WeightedSum(f, r)));
    }
}
