using BenchmarkDotNet.Attributes;
using Falcon.Layers;
using Falcon.Methods.Falcon;
using Falcon.Methods.Gradients;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Benchmarks;

/// <summary>
/// The method's own arithmetic: the offset vector by Gram matrix and by the literal decomposition, the entropy of one layer, the
/// combination of two gradients.
/// </summary>
public class MethodBenchmarks : IDisposable
{
    private readonly Generator _generator = new(7, torch.CPU);
    private Tensor _hidden = null!;
    private Tensor _noise = null!;
    private Tensor _lastTokens = null!;
    private Tensor _forget = null!;
    private Tensor _retain = null!;

    /// <summary>Hidden size D.</summary>
    [Params(512, 1024)]
    public int Size { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _hidden = randn([4, 256, Size], generator: _generator);
        _noise = PrincipalOffsetVector.SampleNoise(Size, _generator);
        _lastTokens = randn([200, Size], generator: _generator);
        _forget = randn([Size, 4 * Size], generator: _generator);
        _retain = randn([Size, 4 * Size], generator: _generator);
    }

    [Benchmark(Baseline = true)]
    public void OffsetVectorBySvd() => Vector(DirectionSolver.Svd);

    [Benchmark]
    public void OffsetVectorByGram() => Vector(DirectionSolver.Gram);

    [Benchmark]
    public double? EntropyOfOneLayer() => KernelDensityEntropy.Compute(_lastTokens).Entropy;

    [Benchmark]
    public double CombineGradients()
    {
        using var scope = NewDisposeScope();
        return GradientCombination.Combine(_forget, _retain).Cosine;
    }

    private void Vector(DirectionSolver solver)
    {
        using var scope = NewDisposeScope();
        _ = PrincipalOffsetVector.Official(_hidden, _noise, solver: solver);
    }

    [GlobalCleanup]
    public void Dispose()
    {
        foreach (var tensor in new[] { _hidden, _noise, _lastTokens, _forget, _retain }) tensor?.Dispose();
        _generator.Dispose();
        GC.SuppressFinalize(this);
    }
}
