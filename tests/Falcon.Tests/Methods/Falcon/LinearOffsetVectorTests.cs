using Falcon.Methods.Falcon;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Falcon;

/// <summary>The linear form of the principal offset vector.</summary>
public class LinearOffsetVectorTests
{
    public static TheoryData<string> LinearNames => GoldenCases.Names("pov_linear");

    [Theory, MemberData(nameof(LinearNames)), Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Linear_GoldenCase_AgreesWithTheFormula(string name)
    {
        var golden = GoldenCases.OrSkip("pov_linear");
        var expected = golden.Case(name);
        using var scope = NewDisposeScope();
        var hidden = golden.Tensors[expected.GetProperty("set").GetString() + ".H"];
        var strength = expected.GetProperty("w").GetDouble();

        var (vector, diagnostics) = PrincipalOffsetVector.Linear(
            hidden,
            golden.Tensors[expected.GetProperty("r").GetString()!],
            expected.GetProperty("K").GetInt32(),
            strength
        );

        GoldenCases.Close(golden.Tensors[name + ".h_plus"], vector, expected.GetProperty("tolerance_abs").GetDouble(), name);
        if (strength == 1) Assert.InRange(diagnostics.LargestOverlap, 0, 1e-6);
        else Assert.Equal(expected.GetProperty("max_abs_dot_with_removed_directions").GetDouble(), diagnostics.LargestOverlap, 1e-5);
    }

    [Fact]
    public void Linear_StrengthOne_IsOrthogonalToTheRemovedDirections()
    {
        CsCheck.Check.Sample(CsCheck.Gen.Select(CsCheck.Gen.Int[0, 100000], CsCheck.Gen.Int[3, 30], CsCheck.Gen.Int[1, 5]), input =>
        {
            var (seed, rows, directions) = input;
            using var scope = NewDisposeScope();
            using var generator = new Generator((ulong)seed);
            var hidden = randn([rows, 12], generator: generator);
            var start = PrincipalOffsetVector.SampleStart(12, generator);
            var (vector, diagnostics) = PrincipalOffsetVector.Linear(hidden, start, directions);
            Assert.Equal(1, vector.norm().item<float>(), 1e-5f);
            // An independent decomposition finds the directions again.
            var (_, _, v) = linalg.svd(hidden, fullMatrices: false);
            Assert.InRange(v[..diagnostics.Directions].mv(vector).abs().max().item<float>(), 0, 1e-4);
            Assert.InRange(diagnostics.PrincipalEnergy, 0, 1e-10);
        }, iter: 40, threads: 1);
    }

    [Fact]
    public void Linear_NothingLeftOfTheStart_IsAFailure()
    {
        using var scope = NewDisposeScope();
        Assert.Throws<NumericalFailureException>(() => PrincipalOffsetVector.Linear(eye(4), ones(4), directions: 4));
        Assert.Throws<NumericalFailureException>(() => PrincipalOffsetVector.Linear(zeros(3, 4), ones(4), directions: 1));
        Assert.Throws<ArgumentException>(() => PrincipalOffsetVector.Linear(eye(4), ones(3), directions: 1));
        Assert.Throws<ArgumentException>(() => PrincipalOffsetVector.Linear(eye(4), ones(4), directions: 1, perturbation: 0.1));
    }

    [Fact]
    public void Linear_MapAndPerturbation_GiveUnitVectorsThatFollowTheSeed()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var hidden = randn([5, 8], generator: generator);
        Tensor Make(ulong seed)
        {
            using var draws = new Generator(seed);
            return PrincipalOffsetVector.Linear(hidden, ones(8), 2, map: OffsetMap.Tanh, perturbation: 0.5, generator: draws).Vector;
        }
        Assert.Equal(1, Make(1).norm().item<float>(), 1e-5f);
        GoldenCases.Close(Make(1), Make(1), 0, "same seed");
        Assert.NotEqual(0, (Make(1) - Make(2)).abs().max().item<float>());
    }
}
