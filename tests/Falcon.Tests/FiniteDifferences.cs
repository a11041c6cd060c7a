using System.Globalization;
using static TorchSharp.torch;

namespace Falcon.Tests;

/// <summary>Checks a gradient against central differences of the function itself.</summary>
internal static class FiniteDifferences
{
    /// <summary>
    /// Compares the gradient of <paramref name="function"/> at <paramref name="point"/> with (f(x + h d) - f(x - h d)) / 2h along seeded
    /// random directions d. The losses compute in float32, so the step is large and the tolerance is relative to |gradient| |d|.
    /// </summary>
    public static void Check(Func<Tensor, Tensor> function, Tensor point, double step = 1e-2, double tolerance = 2e-3)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(17);
        var x = point.clone().requires_grad_();
        var gradient = autograd.grad([function(x)], [x])[0].to(float64);
        for (var trial = 0; trial < 5; trial++)
        {
            var direction = randn(point.shape, dtype: point.dtype, generator: generator);
            direction = direction / direction.norm();
            var numeric =
                (function(point + direction * step).to(float64) - function(point - direction * step).to(float64)).item<double>()
                / (2 * step);
            var exact = (gradient * direction.to(float64)).sum().item<double>();
            var scale = gradient.norm().item<double>();
            Assert.True(Math.Abs(numeric - exact) <= tolerance * scale, string.Create(CultureInfo.InvariantCulture,
                $"direction {trial}: numeric {numeric:G8}, gradient {exact:G8}, |gradient| {scale:G4}"));
        }
    }
}
