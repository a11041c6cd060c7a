using System.Text.Json;
using Falcon.Layers;
using static TorchSharp.torch;

namespace Falcon.Tests.Layers;

public class MutualInformationTests
{
    public static TheoryData<string> GoldenNames => GoldenCases.Names("mi");

    public static TheoryData<string> EdgeNames
    {
        get
        {
            var data = new TheoryData<string>();
            if (!File.Exists(Fixtures.At("falcon", "mi.json"))) data.Add("");
            else foreach (var entry in GoldenCases.OrSkip("mi").Json.GetProperty("edge_cases").EnumerateObject()) data.Add(entry.Name);
            return data;
        }
    }

    [Theory, MemberData(nameof(GoldenNames)), Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Compute_GoldenCase_AgreesWithThePublishedCode(string name)
    {
        var golden = GoldenCases.OrSkip("mi");
        var expected = golden.Case(name);
        var tolerance = expected.GetProperty("tolerance_abs").GetDouble();
        using var scope = NewDisposeScope();
        var (forget, retain) = (golden.Tensors[name + ".F"], golden.Tensors[name + ".R"]);

        AssertParts(expected.GetProperty("pca095_default"), MutualInformation.Compute(forget, retain), tolerance);
        AssertParts(expected.GetProperty("no_pca"), MutualInformation.Compute(forget, retain, EntropyOptions.NoReduction), tolerance);

        var wide = MutualInformation.Compute(forget.to(float64), retain.to(float64));
        Assert.Equal(
            expected.GetProperty("float64_input").GetProperty("pca095_default").GetProperty("mutual_information").GetDouble(),
            wide.Value!.Value,
            tolerance
        );
    }

    [Theory, MemberData(nameof(EdgeNames)), Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Compute_EdgeCase_FailsWhereThePublishedCodeCaughtAnException(string name)
    {
        var golden = GoldenCases.OrSkip("mi");
        var expected = golden.Json.GetProperty("edge_cases").GetProperty(name);
        using var scope = NewDisposeScope();
        if (expected.TryGetProperty("tensor", out var tensorName)) // entropies with an explicit number of components
        {
            foreach (var entry in expected.EnumerateObject().Where(e => e.Name.StartsWith("n_components=", StringComparison.Ordinal)))
            {
                var value = entry.Name["n_components=".Length..].Split(' ')[0];
                var options = value.Contains('.', StringComparison.Ordinal)
                    ? new EntropyOptions(VarianceKept: double.Parse(value, System.Globalization.CultureInfo.InvariantCulture))
                    : new EntropyOptions(Components: int.Parse(value, System.Globalization.CultureInfo.InvariantCulture));
                AssertEntropy(entry.Value, KernelDensityEntropy.Compute(golden.Tensors[tensorName.GetString()!], options), 1e-4);
            }
            return;
        }
        if (expected.TryGetProperty("result", out var result)) // an empty set
        {
            var empty = MutualInformation.Compute(zeros(0, 3), ones(4, 3));
            Assert.Equal(
                result.EnumerateArray().Select(r => r.GetDouble()),
                [
                    empty.OfficialValueOrZero,
                    empty.First.OfficialEntropyOrZero,
                    empty.Second.OfficialEntropyOrZero,
                    empty.Joint.OfficialEntropyOrZero,
                ]
            );
            Assert.Null(empty.Value);
            return;
        }
        var (forget, retain) = (golden.Tensors[$"edge.{name}.F"], golden.Tensors[$"edge.{name}.R"]);
        var estimate = MutualInformation.Compute(forget, retain);
        if (!expected.GetProperty("note").GetString()!.Contains("DO NOT ASSERT", StringComparison.Ordinal))
            AssertParts(expected.GetProperty("pca095_default"), estimate, 1e-4);

        // Unreduced singular matrices are rounding noise there, unless there are more dimensions than samples.
        var raw = MutualInformation.Compute(forget, retain, EntropyOptions.NoReduction);
        foreach (var (part, actual) in Parts(raw))
            if (
                expected.GetProperty("no_pca").GetProperty(part).TryGetProperty("kde_error", out var error)
                && error.GetString() == "ValueError"
            )
                Assert.Null(actual.Entropy);
    }

    [Fact, Trait("Category", "Parity"), Trait("Parity", "true")]
    public void OfLayer_SeveralDomains_AgreesWithTheFormula()
    {
        var golden = GoldenCases.OrSkip("mi");
        if (!golden.Json.TryGetProperty("multi_domain", out var expected)) Assert.Skip("no case of several domains");
        var tolerance = expected.GetProperty("tolerance_abs").GetDouble();
        using var scope = NewDisposeScope();
        var domains = Enumerable.Range(0, expected.GetProperty("m").GetInt32()).Select(i => golden.Tensors[$"multi.F{i}"]).ToArray();

        var information = MutualInformation.OfLayer(domains, golden.Tensors["multi.R"], expected.GetProperty("eta").GetDouble());

        Assert.Equal(expected.GetProperty("aggregate").GetDouble(), information.Value!.Value, tolerance);
        Assert.Equal(expected.GetProperty("with_retain").GetArrayLength(), information.WithRetain.Count);
        for (var i = 0; i < information.WithRetain.Count; i++)
            Assert.Equal(
                expected.GetProperty("with_retain")[i].GetProperty("mutual_information").GetDouble(),
                information.WithRetain[i].Value!.Value,
                tolerance
            );
        var pairs = expected.GetProperty("pairwise").EnumerateObject().ToArray();
        Assert.Equal(pairs.Length, information.BetweenDomains.Count);
        for (var i = 0; i < pairs.Length; i++)
            Assert.Equal(
                pairs[i].Value.GetProperty("mutual_information").GetDouble(),
                information.BetweenDomains[i].Value!.Value,
                tolerance
            );
    }

    [Fact]
    public void Entropy_OfManyGaussianSamples_IsNearTheClosedForm()
    {
        // H = d/2 log(2 pi e) for the standard normal; the kernel widens the density, a small positive bias in few dimensions.
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var exact = Math.Log(2 * Math.PI * Math.E);
        Assert.Equal(exact, KernelDensityEntropy.Compute(randn([3000, 2], generator: generator)).Entropy!.Value, 0.1);
    }

    [Fact]
    public void Entropy_DoesNotChangeUnderRotationAndShift_AndFollowsScale()
    {
        CsCheck.Check.Sample(CsCheck.Gen.Int[0, 10000], seed =>
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator((ulong)seed);
            var x = randn([30, 14], dtype: float64, generator: generator);
            var (rotation, _) = linalg.qr(randn([14, 14], dtype: float64, generator: generator));
            var plain = KernelDensityEntropy.Compute(x);
            var moved = KernelDensityEntropy.Compute((x.matmul(rotation) * 3) + 5);
            Assert.Equal(plain.Components, moved.Components);
            Assert.Equal(plain.Entropy!.Value + (plain.Dimensions * Math.Log(3)), moved.Entropy!.Value, 1e-8);
        }, iter: 20, threads: 1);
    }

    [Theory]
    [InlineData(1, 12, EntropyFailure.TooFewSamples)]
    [InlineData(5, 8, EntropyFailure.MoreDimensionsThanSamples)]
    [InlineData(8, 8, EntropyFailure.SingularCovariance)] // rank n - 1
    public void Entropy_WithoutAnEstimate_SaysWhy(int n, int d, EntropyFailure why)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var estimate = KernelDensityEntropy.Compute(randn([n, d], generator: generator));
        Assert.Equal(why, estimate.Failure);
        Assert.Null(estimate.Entropy);
    }

    [Fact]
    public void Entropy_OfDegenerateData_SaysWhy()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var x = randn([40, 5], generator: generator);
        Assert.Equal(EntropyFailure.NoVariance, KernelDensityEntropy.Compute(full(20, 5, 0.3)).Failure);
        Assert.Equal(EntropyFailure.NoVariance, KernelDensityEntropy.Compute(full(20, 50, 0.3)).Failure);
        Assert.Equal(EntropyFailure.SingularCovariance, KernelDensityEntropy.Compute(cat([x, full(40, 1, 0.25)], 1)).Failure);
        Assert.Equal(EntropyFailure.SingularCovariance, KernelDensityEntropy.Compute(cat([x, x[.., ..1] * 2], 1)).Failure);
        Assert.Equal(EntropyFailure.NotFinite, KernelDensityEntropy.Compute(cat([x, full(40, 1, double.NaN)], 1)).Failure);
        Assert.Contains(
            "SingularCovariance in the first set",
            MutualInformation.Compute(cat([x, x], 1), x).Failure,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Interval_IsSeeded_AndHoldsTheEstimate()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        // 60 dimensions and 30 texts: the path of fewer columns.
        var shared = randn([30, 60], generator: generator);
        Tensor[] forget = [shared + (randn([30, 60], generator: generator) * 0.1)];
        var retain = shared + (randn([30, 60], generator: generator) * 0.1);
        var observed = MutualInformation.OfLayer(forget, retain, eta: 0);

        var interval = MutualInformationInterval.Compute(forget, retain, observed, seed: 4, bootstraps: 30, permutations: 30)!;

        Assert.InRange(observed.Value!.Value, interval.Low!.Value, interval.High!.Value);
        Assert.Equal(30, interval.Bootstraps);
        Assert.Equal(interval, MutualInformationInterval.Compute(forget, retain, observed, seed: 4, bootstraps: 30, permutations: 30));
        Assert.NotEqual(interval, MutualInformationInterval.Compute(forget, retain, observed, seed: 5, bootstraps: 30, permutations: 30));
        // The two sets are nearly copies row by row, which a random pairing destroys: the joint entropy is lowest for the true one.
        Assert.True(observed.Value > interval.NullHigh);
        Assert.Equal(1.0 / 31, interval.PermutationPValue!.Value, 1e-12);
    }

    [Fact]
    public void Interval_OfAnIdentityPairing_ReproducesTheEstimate()
    {
        // The rotated, narrower sets give the same information as the original ones: what the resamples rely on.
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var (forget, retain) = (randn([25, 70], generator: generator), randn([20, 70], generator: generator));
        var rotated = MutualInformation.Compute(PrincipalComponents.Rotate(forget).Scores, PrincipalComponents.Rotate(retain).Scores);
        var plain = MutualInformation.Compute(forget, retain);
        Assert.Equal(plain.First.Entropy!.Value, rotated.First.Entropy!.Value, 1e-9);
        Assert.Equal(plain.Value!.Value, rotated.Value!.Value, 1e-9);
    }

    [Fact]
    public void EveryEstimate_LeavesNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var (a, b, none) = (randn([20, 30], generator: generator), randn([20, 30], generator: generator), zeros(4, 3));
        TensorLeaks.Check(0, _ => MutualInformation.Compute(a, b));
        TensorLeaks.Check(0, _ => KernelDensityEntropy.Compute(none));
        TensorLeaks.Check(1, results => results.Add(PrincipalComponents.Reduce(a).Scores));
        TensorLeaks.Check(0, _ => LayerSelector.Measure(0, [a, b], b, eta: 0.5, seed: 1, resamples: 3));
    }

    private static void AssertParts(JsonElement expected, MutualInformationEstimate actual, double tolerance)
    {
        foreach (var (part, estimate) in Parts(actual)) AssertEntropy(expected.GetProperty(part), estimate, tolerance);
        Assert.Equal(expected.GetProperty("mutual_information").GetDouble(), actual.OfficialValueOrZero, tolerance);
        Assert.Equal(actual.Failure is null, actual.Value is not null);
    }

    private static (string Part, EntropyEstimate Estimate)[] Parts(MutualInformationEstimate estimate) =>
        [("forget", estimate.First), ("retain", estimate.Second), ("joint", estimate.Joint)];

    private static void AssertEntropy(JsonElement expected, EntropyEstimate actual, double tolerance)
    {
        Assert.Equal(expected.GetProperty("entropy").GetDouble(), actual.OfficialEntropyOrZero, tolerance);
        if (expected.TryGetProperty("kde_error", out _))
        {
            Assert.NotNull(actual.Failure);
            Assert.Null(actual.Entropy);
            return;
        }
        Assert.Null(actual.Failure);
        Assert.Equal(expected.GetProperty("kde_dims").GetInt32(), actual.Dimensions);
        Assert.Equal(expected.GetProperty("kde_samples").GetInt32(), actual.Samples);
        Assert.Equal(expected.GetProperty("scott_factor").GetDouble(), actual.ScottFactor!.Value, 1e-12);
        Assert.Equal(expected.GetProperty("kde_log_det").GetDouble(), actual.LogDeterminant!.Value, 1e-4);
        if (!expected.TryGetProperty("pca_components", out var components))
        {
            Assert.Null(actual.Components);
            return;
        }
        Assert.Equal(components.GetInt32(), actual.Components);
        Assert.Equal(GoldenCases.Number(expected.GetProperty("pca_cumulative_variance")), actual.VarianceKept!.Value, 1e-5);
    }
}
