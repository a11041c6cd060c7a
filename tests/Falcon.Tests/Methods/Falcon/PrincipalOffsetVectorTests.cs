using System.Text.Json;
using Falcon.Methods.Falcon;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Falcon;

public class PrincipalOffsetVectorTests
{
    public static TheoryData<string> OfficialNames => GoldenCases.Names("pov_official");

    [Theory, MemberData(nameof(OfficialNames)), Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Official_GoldenCase_AgreesWithThePublishedCode(string name)
    {
        var golden = GoldenCases.OrSkip("pov_official");
        var expected = golden.Case(name);
        var prefix = expected.GetProperty("tensors_prefix").GetString()!;
        foreach (var solver in new[] { DirectionSolver.Svd, DirectionSolver.Gram })
        {
            using var scope = NewDisposeScope();
            var hidden = golden.Tensors.Has(prefix + "hidden_states") ? golden.Tensors[prefix + "hidden_states"] : Hashed(expected);
            var noise = golden.Tensors.Has(prefix + "noise") ? golden.Tensors[prefix + "noise"] : null;

            var (vector, diagnostics) = PrincipalOffsetVector.Official(hidden, noise, solver: solver);

            GoldenCases.Close(
                golden.Tensors[prefix + "vector"],
                vector,
                expected.GetProperty("tolerance_abs_vector").GetDouble(),
                $"{name} {solver}"
            );
            Assert.Equal(expected.GetProperty("k").GetInt32(), diagnostics.Directions);
            Assert.Equal([hidden.shape[^1]], vector.shape);
            Assert.Equal(float32, vector.dtype);

            var (values, directions) = PrincipalDirections.Find(hidden.reshape(-1, hidden.shape[^1]), int.MaxValue, 0, solver);
            var sigma = golden.Tensors[prefix + "singular_values"];
            GoldenCases.Close(sigma, values, 1e-5 * sigma[0].item<float>(), $"{name} {solver} singular values");
            values = values[..diagnostics.Directions];
            directions = directions[..diagnostics.Directions];
            GoldenCases.Close(
                golden.Tensors[prefix + "weights"],
                PrincipalOffsetVector.OfficialWeights(values),
                1e-2,
                $"{name} {solver} weights"
            );
            if (!golden.Tensors.Has(prefix + "projection_before_noise"))
                continue;
            var projection = PrincipalOffsetVector.OfficialProjection(values, directions);
            GoldenCases.Close(golden.Tensors[prefix + "projection_before_noise"], projection, 5e-3, $"{name} {solver} projection");
            GoldenCases.Close(
                golden.Tensors[prefix + "projection_after_tanh"],
                (noise is null ? projection : projection + noise * 0.01).tanh(),
                1e-3,
                $"{name} {solver} tanh"
            );
        }
    }

    [Fact, Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Official_RankDeficientRows_DropsNullDirections()
    {
        var golden = GoldenCases.OrSkip("pov_official");
        if (!golden.Json.TryGetProperty("rank_deficient", out var expected)) Assert.Skip("no rank-deficient case");
        var rank = expected.GetProperty("numerical_rank").GetInt32();
        foreach (var solver in new[] { DirectionSolver.Svd, DirectionSolver.Gram })
        {
            using var scope = NewDisposeScope();
            var hidden = golden.Tensors["rank_deficient.hidden_states"];

            var (vector, diagnostics) = PrincipalOffsetVector.Official(hidden, golden.Tensors["rank_deficient.noise"], solver: solver);

            Assert.Equal(rank, diagnostics.Directions);
            GoldenCases.Close(golden.Tensors["rank_deficient.vector_null_directions_dropped_float64"], vector, 1e-4, $"{solver}");
            var (values, _) = PrincipalDirections.Find(
                hidden.reshape(-1, hidden.shape[^1]),
                int.MaxValue,
                PrincipalOffsetVector.DefaultNullThreshold,
                solver
            );
            var sigma = golden.Tensors["rank_deficient.singular_values"][..rank];
            GoldenCases.Close(sigma, values, 1e-5 * sigma[0].item<float>(), $"{solver} singular values");
            GoldenCases.Close(
                golden.Tensors["rank_deficient.weights"][..rank],
                PrincipalOffsetVector.OfficialWeights(values),
                1e-2,
                $"{solver} weights"
            );
        }
    }

    [Fact, Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Official_Bfloat16Input_PointsTheSameWay()
    {
        var golden = GoldenCases.OrSkip("pov_official");
        if (!golden.Json.TryGetProperty("bf16_informative", out var informative)) Assert.Skip("no bfloat16 case");
        using var scope = NewDisposeScope();
        var prefix = informative.GetProperty("base_case").GetString() + ".";
        var (vector, _) = PrincipalOffsetVector.Official(
            golden.Tensors[prefix + "hidden_states"].to(bfloat16),
            golden.Tensors[prefix + "noise"]
        );
        Assert.InRange(
            nn.functional.cosine_similarity(vector, golden.Tensors["bf16_informative.vector"].reshape(-1), dim: 0).item<float>(),
            0.98f,
            1.001f
        );
    }

    [Fact]
    public void EveryForm_IgnoresMaskedRows()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(8);
        var hidden = randn([2, 5, 8], generator: generator);
        var mask = tensor(new[] { false, true, true, true, true, true, true, true, true, false }, 2, 5);
        var spoiled = hidden.masked_fill(mask.logical_not().unsqueeze(-1), 1e6);
        GoldenCases.Close(
            PrincipalOffsetVector.Official(hidden, mask: mask).Vector,
            PrincipalOffsetVector.Official(spoiled, mask: mask).Vector,
            0,
            "official"
        );
        GoldenCases.Close(
            PrincipalOffsetVector.Linear(hidden, ones(8), 3, mask: mask).Vector,
            PrincipalOffsetVector.Linear(spoiled, ones(8), 3, mask: mask).Vector,
            0,
            "linear"
        );
    }

    [Theory]
    [InlineData(600, 520, 1.0)] // few directions: the Krylov space finds them
    [InlineData(300, 700, 1.0)] // fewer rows than columns
    [InlineData(560, 560, 0.4)] // many directions: the Gram matrix decides
    public void Orthogonal_EnergyShare_IsTheProjectionThatAWholeDecompositionGives(int rows, int size, double decay)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(11);
        var hidden = WithSpectrum(rows, size, decay, generator);
        var start = PrincipalOffsetVector.SampleStart(size, generator);

        var (vector, diagnostics) = PrincipalOffsetVector.Orthogonal(hidden, start, 0.9);

        // Independent: every singular value by a decomposition in float64, then the fewest that reach 90 % of the sum of squares, then r -
        // V V^T r.
        var (_, values, directions) = linalg.svd(hidden.to(float64), fullMatrices: false);
        var squares = values.square().data<double>().ToArray();
        var count = Enumerable.Range(1, squares.Length).First(k => squares.Take(k).Sum() >= 0.9 * squares.Sum());
        var r = start.to(float64);
        var expected = r - directions[..count].T.mv(directions[..count].mv(r));
        Assert.Equal(count, diagnostics.Directions);
        GoldenCases.Close(expected / expected.norm(), vector, 1e-5, "projection");
        Assert.InRange(diagnostics.LargestOverlap, 0, 1e-6);
        GoldenCases.Close(vector, PrincipalOffsetVector.Orthogonal(hidden, start, 0.9).Vector, 0, "the same at every call");
    }

    [Fact]
    public void Orthogonal_RankDeficientRows_RemovesTheDirectionsThatAreThere()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(12);
        var hidden = randn([600, 7], generator: generator).matmul(randn([7, 520], generator: generator)); // rank 7
        var (vector, diagnostics) = PrincipalOffsetVector.Orthogonal(hidden, ones(520), 1);
        Assert.Equal(7, diagnostics.Directions);
        Assert.InRange(hidden.mv(vector).abs().max().item<float>(), 0, 1e-3);
        var same = ones(600, 1).matmul(randn([1, 520], generator: generator)); // the same row again and again
        Assert.Equal(1, PrincipalOffsetVector.Orthogonal(same, ones(520), 0.95).Diagnostics.Directions);
        Assert.Throws<NumericalFailureException>(() => PrincipalOffsetVector.Orthogonal(zeros(600, 520), ones(520), 0.95));
        Assert.Throws<ArgumentException>(() => PrincipalOffsetVector.Orthogonal(same, ones(3), 0.95));
    }

    [Fact]
    public void Official_LiteralLoopInFloat64_GivesTheSameVector()
    {
        // The published arithmetic step by step (decomposition, K rank-one updates, tanh, six products) in float64, with more directions
        // than K.
        using var scope = NewDisposeScope();
        using var generator = new Generator(13);
        const int size = 192, directions = 100;
        var hidden = WithSpectrum(256, size, 0.75, generator);
        var noise = PrincipalOffsetVector.SampleNoise(size, generator);
        var (_, values, v) = linalg.svd(hidden.to(float64), fullMatrices: false);
        var projection = eye(size, dtype: float64);
        for (var i = 0; i < directions; i++) projection.sub_((values[i] / values[0]).sigmoid() * -1000 * outer(v[i], v[i]));
        projection = (projection + noise.to(float64) * 0.01).tanh();
        var expected = full(size, 1 / Math.Sqrt(size), dtype: float64);
        for (var i = 0; i < 6; i++)
        {
            expected = expected.matmul(projection).tanh();
            expected = expected / (expected.norm() + 1e-6);
        }

        GoldenCases.Close(expected, PrincipalOffsetVector.Official(hidden, noise, directions: directions).Vector, 1e-4, "literal loop");
    }

    /// <summary>A matrix with singular values i^-decay and random singular vectors, float32.</summary>
    private static Tensor WithSpectrum(int rows, int size, double decay, Generator generator)
    {
        using var inner = NewDisposeScope();
        var rank = Math.Min(rows, size);
        var (left, _) = linalg.qr(randn([rows, rank], dtype: float64, generator: generator));
        var (right, _) = linalg.qr(randn([size, rank], dtype: float64, generator: generator));
        return (left * arange(1, rank + 1, dtype: float64).pow(-decay)).matmul(right.T).to(float32).MoveToOuterDisposeScope();
    }

    [Fact]
    public void Random_IsAUnitVector_WithAboutChanceEnergy()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(9);
        var hidden = randn([40, 64], generator: generator);
        var (vector, diagnostics) = PrincipalOffsetVector.Random(hidden, generator, directions: 16);
        Assert.Equal(1, vector.norm().item<float>(), 1e-5f);
        Assert.InRange(diagnostics.PrincipalEnergy, 0.05, 0.55); // chance is 16/64
        Assert.Equal(new OffsetDiagnostics(0, 0, 0), PrincipalOffsetVector.Random(hidden, generator).Diagnostics);
    }

    [Fact]
    public void EveryForm_LeavesNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(9);
        var (hidden, start, noise) = (randn([2, 5, 8], generator: generator), ones(8), randn([8, 8], generator: generator));
        TensorLeaks.Check(1, results => results.Add(PrincipalOffsetVector.Official(hidden, noise).Vector));
        TensorLeaks.Check(1, results => results.Add(PrincipalOffsetVector.Official(hidden, solver: DirectionSolver.Svd).Vector));
        TensorLeaks.Check(1, results => results.Add(PrincipalOffsetVector.Linear(hidden, start, 2, map: OffsetMap.Tanh).Vector));
        TensorLeaks.Check(1, results => results.Add(PrincipalOffsetVector.Random(hidden, generator, 3).Vector));
        TensorLeaks.Check(1, results => results.Add(PrincipalOffsetVector.Orthogonal(hidden, start, 0.5).Vector));
        var large = WithSpectrum(600, 520, 1, generator);
        TensorLeaks.Check(1, results => results.Add(PrincipalOffsetVector.Random(large, generator, energyShare: 0.9).Vector));
        TensorLeaks.Check(1, results => results.Add(PrincipalOffsetVector.SampleNoise(4, generator)));
    }

    /// <summary>The input of a case that stores a formula in place of numbers (hash_formula in the .json).</summary>
    private static Tensor Hashed(JsonElement expected)
    {
        var (rows, size) = (expected.GetProperty("rows").GetInt32(), expected.GetProperty("D").GetInt32());
        var hash = expected.GetProperty("hash");
        var (add, byRow, byColumn) = (
            hash.GetProperty("add").GetUInt32(),
            hash.GetProperty("mul_row").GetUInt32(),
            hash.GetProperty("mul_col").GetUInt32()
        );
        var values = new float[rows * size];
        for (var i = 0; i < values.Length; i++)
        {
            var x = unchecked(((uint)(i / size) * byRow) + ((uint)(i % size) * byColumn) + add);
            x ^= x >> 16;
            x = unchecked(x * 0x7feb352d);
            x ^= x >> 15;
            x = unchecked(x * 0x846ca68b);
            x ^= x >> 16;
            values[i] = (float)((x / 4294967296.0) - 0.5);
        }
        return tensor(values, expected.GetProperty("B").GetInt32(), expected.GetProperty("L").GetInt32(), size);
    }
}
