using Falcon.Engine;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>The map f of the paper's offset vector, applied after the projection.</summary>
public enum OffsetMap
{
    /// <summary>No map: with strength 1 the vector is exactly orthogonal to the removed directions.</summary>
    Identity,

    /// <summary>Elementwise hyperbolic tangent.</summary>
    Tanh,
}

/// <summary>How an offset vector relates to the principal directions it was made from.</summary>
/// <param name="Directions">K, the number of principal directions used (null directions dropped).</param>
/// <param name="PrincipalEnergy">
/// Sum over i of (v_i.h)^2, 0 to 1: 0 for an exact projection, near 0.9 for the published form, about K/D by chance.
/// </param>
/// <param name="LargestOverlap">Largest |v_i.h| over the K directions, 0 to 1.</param>
public sealed record OffsetDiagnostics(int Directions, double PrincipalEnergy, double LargestOverlap);

/// <summary>
/// The principal offset vector h+ that forget hidden states are pulled to, made from the principal directions v_i (singular values s_i,
/// descending) of a batch of hidden states. Three forms; all return a float32 unit vector [D]. Source: FALCON, step 2.1.
/// </summary>
public static class PrincipalOffsetVector
{
    /// <summary>Largest number of directions in the published code.</summary>
    public const int OfficialDirections = 1000;

    /// <summary>Singular values at most this share of the largest are null directions.</summary>
    public const double DefaultNullThreshold = 1e-5;

    private const double OfficialStrength = -1000;
    private const double OfficialNoise = 0.01;
    private const double OfficialNormGuard = 1e-6;
    private const int OfficialIterations = 6;
    private const double SmallestRemainder = 1e-5;

    /// <summary>
    /// The published code's vector: P = tanh(I + 1000 sum_i sigmoid(s_i/s_1) v_i v_i^T + 0.01 noise), then six times h = normalise(tanh(h
    /// P)) from ones/sqrt(D). This amplifies the principal directions instead of removing them, unlike the paper's formula
    /// (<see cref="Linear"/>). Difference: null directions are dropped, because rounding noise determines them;
    /// <paramref name="nullThreshold"/> 0 with <see cref="DirectionSolver.Svd"/> keeps them.
    /// </summary>
    /// <param name="hidden">Hidden states [B, T, D] or [N, D], any floating type.</param>
    /// <param name="noise">Standard normal matrix [D, D] (see <see cref="SampleNoise"/>); null for none.</param>
    /// <param name="mask">True at positions that count, [B, T] or [N]; null counts every position as the published code does.</param>
    /// <param name="directions">Cap on the number of directions.</param>
    /// <param name="nullThreshold">Relative singular value at and below which a direction is dropped.</param>
    /// <param name="solver">How the directions are found; both give the same vector within 1e-4.</param>
    /// <exception cref="NumericalFailureException">The counted hidden states are all zero, or not finite.</exception>
    public static (Tensor Vector, OffsetDiagnostics Diagnostics) Official(Tensor hidden, Tensor? noise = null, Tensor? mask = null,
        int directions = OfficialDirections, double nullThreshold = DefaultNullThreshold, DirectionSolver solver = DirectionSolver.Gram)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var (values, vectors) = FindDirections(hidden, mask, directions, nullThreshold, solver);
        var projection = OfficialProjection(values, vectors);
        if (noise is not null) projection.add_(noise.to(float32).to(hidden.device), alpha: OfficialNoise);
        projection.tanh_();
        var size = projection.shape[0];
        var vector = full(size, 1 / Math.Sqrt(size), dtype: float32, device: hidden.device);
        for (var i = 0; i < OfficialIterations; i++)
        {
            vector = vector.matmul(projection).tanh();
            vector = vector / (vector.norm() + OfficialNormGuard);
        }
        return (vector.MoveToOuterDisposeScope(), Diagnose(vector, vectors));
    }

    /// <summary>
    /// The paper's vector: h+ = normalise( f( r - w sum_{i at most K} v_i (v_i.r) ) + perturbation * gaussian ). With w = 1, f the identity
    /// and no perturbation it is the exact projection of r onto the orthogonal complement of the K directions. Computed in float64.
    /// </summary>
    /// <param name="hidden">Hidden states [B, T, D] or [N, D], any floating type.</param>
    /// <param name="start">r, the starting vector [D], such as <see cref="SampleStart"/>.</param>
    /// <param name="directions">K, the number of directions; null directions do not count.</param>
    /// <param name="strength">w, the strength of the removal.</param>
    /// <param name="map">f.</param>
    /// <param name="perturbation">Standard deviation of a gaussian perturbation, relative to 1/sqrt(D); 0 for none.</param>
    /// <param name="generator">Draws the perturbation; required where there is one.</param>
    /// <param name="mask">True at positions that count, [B, T] or [N]; null counts every position.</param>
    /// <param name="nullThreshold">Relative singular value at and below which a direction is dropped.</param>
    /// <exception cref="ArgumentException">A perturbation without a generator, or a start of another size.</exception>
    /// <exception cref="NumericalFailureException">
    /// The counted hidden states are all zero or not finite, or nothing of the start remains.
    /// </exception>
    public static (Tensor Vector, OffsetDiagnostics Diagnostics) Linear(
        Tensor hidden,
        Tensor start,
        int directions,
        double strength = 1,
        OffsetMap map = OffsetMap.Identity,
        double perturbation = 0,
        Generator? generator = null,
        Tensor? mask = null,
        double nullThreshold = DefaultNullThreshold
    )
    {
        var size = hidden.shape[^1];
        if (start.numel() != size)
            throw new ArgumentException($"The start has {start.numel()} elements, hidden states have {size}.", nameof(start));
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var (_, vectors) = FindDirections(hidden, mask, directions, nullThreshold, DirectionSolver.Gram);
        var remainder = Remainder(start, vectors, strength);
        var mapped = map == OffsetMap.Tanh ? remainder.tanh() : remainder;
        if (perturbation != 0)
        {
            if (generator is null) throw new ArgumentException("A perturbation needs a generator.", nameof(generator));
            mapped = mapped + Gaussian([size], generator, hidden.device) * (perturbation / Math.Sqrt(size));
        }
        var vector = (mapped / mapped.norm()).to(float32);
        return (vector.MoveToOuterDisposeScope(), Diagnose(vector, vectors));
    }

    /// <summary>
    /// The exact projection of r onto the orthogonal complement of the fewest principal directions that hold a share of the energy of the
    /// hidden states (<see cref="Linear"/> with w = 1 and that K, at most three quarters of all). It takes one decomposition; where few
    /// directions hold that share, the whole matrix is not decomposed. Computed in float64.
    /// </summary>
    /// <param name="hidden">Hidden states [B, T, D] or [N, D], any floating type.</param>
    /// <param name="start">r, the starting vector [D], such as <see cref="SampleStart"/>.</param>
    /// <param name="energyShare">Share of sum s_i^2 that the removed directions hold, above 0 to 1.</param>
    /// <param name="mask">True at positions that count, [B, T] or [N]; null counts every position.</param>
    /// <param name="nullThreshold">Relative singular value at and below which a direction is dropped.</param>
    /// <exception cref="ArgumentException">A start of another size.</exception>
    /// <exception cref="NumericalFailureException">
    /// The counted hidden states are all zero or not finite, or nothing of the start remains.
    /// </exception>
    public static (Tensor Vector, OffsetDiagnostics Diagnostics) Orthogonal(
        Tensor hidden,
        Tensor start,
        double energyShare,
        Tensor? mask = null,
        double nullThreshold = DefaultNullThreshold
    )
    {
        var size = hidden.shape[^1];
        if (start.numel() != size)
            throw new ArgumentException($"The start has {start.numel()} elements, hidden states have {size}.", nameof(start));
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var vectors = LeadingDirections(hidden, mask, energyShare, nullThreshold);
        var remainder = Remainder(start, vectors, strength: 1);
        var vector = (remainder / remainder.norm()).to(float32);
        return (vector.MoveToOuterDisposeScope(), Diagnose(vector, vectors));
    }

    /// <summary>
    /// A random unit vector, with the directions that hold a share of the energy for its diagnostics; see <see cref="Orthogonal"/>.
    /// </summary>
    /// <param name="hidden">Hidden states [B, T, D] or [N, D].</param>
    /// <param name="generator">Draws the vector.</param>
    /// <param name="energyShare">Share of sum s_i^2 of the directions that the diagnostics are taken against, above 0 to 1.</param>
    /// <param name="mask">True at positions that count, [B, T] or [N]; null counts every position.</param>
    public static (Tensor Vector, OffsetDiagnostics Diagnostics) Random(
        Tensor hidden,
        Generator generator,
        double energyShare,
        Tensor? mask = null
    )
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var vector = SampleStart(hidden.shape[^1], generator, hidden.device);
        return (vector.MoveToOuterDisposeScope(), Diagnose(vector, LeadingDirections(hidden, mask, energyShare, DefaultNullThreshold)));
    }

    /// <summary>
    /// A random unit vector: the control that uses nothing of the hidden states but their size (and, for the diagnostics, their
    /// directions).
    /// </summary>
    /// <param name="hidden">Hidden states [B, T, D] or [N, D].</param>
    /// <param name="generator">Draws the vector.</param>
    /// <param name="directions">
    /// How many principal directions the diagnostics are taken against; 0 for none, which costs no decomposition.
    /// </param>
    /// <param name="mask">True at positions that count, [B, T] or [N]; null counts every position.</param>
    public static (Tensor Vector, OffsetDiagnostics Diagnostics) Random(
        Tensor hidden,
        Generator generator,
        int directions = 0,
        Tensor? mask = null
    )
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var vector = SampleStart(hidden.shape[^1], generator, hidden.device);
        var diagnostics = new OffsetDiagnostics(0, 0, 0);
        if (directions > 0)
            diagnostics = Diagnose(vector, FindDirections(hidden, mask, directions, DefaultNullThreshold, DirectionSolver.Gram).Vectors);
        return (vector.MoveToOuterDisposeScope(), diagnostics);
    }

    /// <summary>A starting vector [D]: standard normal, scaled to length 1, float32.</summary>
    /// <param name="size">D.</param>
    /// <param name="generator">Draws the vector.</param>
    /// <param name="device">Where the result lies; the processor by default.</param>
    public static Tensor SampleStart(long size, Generator generator, Device? device = null)
    {
        using var scope = NewDisposeScope();
        var vector = Gaussian([size], generator, device ?? CPU);
        return (vector / vector.norm()).MoveToOuterDisposeScope();
    }

    /// <summary>A standard normal matrix [D, D], float32: the noise of <see cref="Official"/>.</summary>
    /// <param name="size">D.</param>
    /// <param name="generator">Draws the matrix.</param>
    /// <param name="device">Where the result lies; the processor by default.</param>
    public static Tensor SampleNoise(long size, Generator generator, Device? device = null) =>
        Gaussian([size, size], generator, device ?? CPU);

    /// <summary>-1000 sigmoid(s_i/s_1), the published weights of the directions, [K].</summary>
    internal static Tensor OfficialWeights(Tensor singularValues)
    {
        using var scope = NewDisposeScope();
        return ((singularValues / singularValues[0]).sigmoid() * OfficialStrength).MoveToOuterDisposeScope();
    }

    /// <summary>I - sum_i weight_i v_i v_i^T in float32 [D, D], as one matrix product in place of K rank-one updates.</summary>
    internal static Tensor OfficialProjection(Tensor singularValues, Tensor vectors)
    {
        using var scope = NewDisposeScope();
        var weights = OfficialWeights(singularValues).to(float32);
        var v = vectors.to(float32);
        var product = v.T.matmul(v * weights.unsqueeze(1)); // [D, D]
        return product.neg_().add_(eye(v.shape[1], dtype: float32, device: v.device)).MoveToOuterDisposeScope();
    }

    private static (Tensor Values, Tensor Vectors) FindDirections(
        Tensor hidden,
        Tensor? mask,
        int directions,
        double nullThreshold,
        DirectionSolver solver
    )
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(directions, 1);
        using var scope = NewDisposeScope();
        var (values, vectors) = PrincipalDirections.Find(CountedRows(hidden, mask), directions, nullThreshold, solver);
        if (values.shape[0] == 0) throw new NumericalFailureException("All hidden states are zero; they have no principal direction.");
        return (values.MoveToOuterDisposeScope(), vectors.MoveToOuterDisposeScope());
    }

    private static Tensor LeadingDirections(Tensor hidden, Tensor? mask, double energyShare, double nullThreshold)
    {
        using var scope = NewDisposeScope();
        var most = Math.Max(1, (int)hidden.shape[^1] * 3 / 4); // something of a start must remain
        var (_, vectors) = PrincipalDirections.Leading(CountedRows(hidden, mask), energyShare, most, nullThreshold);
        if (vectors.shape[0] == 0) throw new NumericalFailureException("All hidden states are zero; they have no principal direction.");
        return vectors.MoveToOuterDisposeScope();
    }

    private static Tensor CountedRows(Tensor hidden, Tensor? mask)
    {
        using var scope = NewDisposeScope();
        var rows = TokenRows.Select(hidden, mask);
        if (rows.shape[0] == 0)
            throw new NumericalFailureException("No hidden state to take principal directions from: the mask counts no position.");
        if (!rows.isfinite().all().item<bool>())
            throw new NumericalFailureException("The hidden states for the principal directions are not all finite.");
        return rows.MoveToOuterDisposeScope();
    }

    /// <summary>r - w sum_i v_i (v_i.r) in float64.</summary>
    private static Tensor Remainder(Tensor start, Tensor vectors, double strength)
    {
        using var scope = NewDisposeScope();
        var r = start.to(float64).reshape(-1).to(vectors.device);
        var remainder = r - vectors.T.mv(vectors.mv(r)) * strength;
        if (remainder.norm().item<double>() <= SmallestRemainder * r.norm().item<double>())
            throw new NumericalFailureException(
                $"Nothing of the start vector remains after removing {vectors.shape[0]} of {vectors.shape[1]} directions; "
                    + "use fewer directions."
            );
        return remainder.MoveToOuterDisposeScope();
    }

    private static OffsetDiagnostics Diagnose(Tensor vector, Tensor vectors)
    {
        using var scope = NewDisposeScope();
        var overlaps = vectors.to(float64).mv(vector.to(float64));
        return new OffsetDiagnostics((int)vectors.shape[0], overlaps.square().sum().item<double>(), overlaps.abs().max().item<double>());
    }

    /// <summary>Drawn on the processor whatever the device, so that a seed gives the same numbers everywhere.</summary>
    private static Tensor Gaussian(long[] shape, Generator generator, Device device)
    {
        using var scope = NewDisposeScope();
        return randn(shape, dtype: float32, generator: generator).to(device).MoveToOuterDisposeScope();
    }
}
