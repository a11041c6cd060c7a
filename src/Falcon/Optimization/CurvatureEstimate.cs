using static TorchSharp.torch;

namespace Falcon.Optimization;

/// <summary>
/// Stochastic estimates of the diagonal of a Hessian, for <see cref="Sophia"/>. Source: Liu et al., Sophia (ICLR 2024), section 2.3.
/// </summary>
public static class CurvatureEstimate
{
    /// <summary>
    /// Gauss-Newton-Bartlett: labels are sampled from the softmax of the logits, and the estimate is N g*g, g the gradient of the mean
    /// cross-entropy with those labels. Its expectation is the diagonal of the Gauss-Newton matrix of the mean loss; never negative. The
    /// factor N is included, so <see cref="Sophia"/> takes it with batch 1.
    /// </summary>
    /// <param name="logits">Computes the logits [N, C] with a graph to the parameters, such as the InfoNCE logits.</param>
    /// <param name="parameters">What to differentiate; all must require a gradient.</param>
    /// <param name="generator">Samples the labels, on the processor.</param>
    /// <returns>One float32 tensor a parameter, same shape; zero for a parameter the logits do not depend on.</returns>
    public static IReadOnlyList<Tensor> GaussNewtonBartlett(Func<Tensor> logits, IReadOnlyList<Tensor> parameters, Generator generator)
    {
        using var scope = NewDisposeScope();
        var scores = logits().to(float32); // [N, C]
        var labels = scores.detach().softmax(1).cpu().multinomial(1, true, generator).squeeze(1).to(scores.device);
        var loss = nn.functional.cross_entropy(scores, labels);
        var gradients = autograd.grad([loss], [.. parameters], allow_unused: true);
        return
        [
            .. gradients.Select((g, i) => Present(g, parameters[i]).to(float32).square().mul_(scores.shape[0]).MoveToOuterDisposeScope()),
        ];
    }

    /// <summary>
    /// Hutchinson: the mean over samples of u * (H u), u of independent signs; its expectation is the diagonal of the Hessian of the loss.
    /// Costs a second backward pass a sample.
    /// </summary>
    /// <param name="loss">Computes the scalar loss with a graph to the parameters.</param>
    /// <param name="parameters">What to differentiate; all must require a gradient.</param>
    /// <param name="generator">Draws the signs, on the processor.</param>
    /// <param name="samples">Number of sign vectors.</param>
    /// <returns>One tensor a parameter, same shape; elements can be negative.</returns>
    public static IReadOnlyList<Tensor> Hutchinson(
        Func<Tensor> loss,
        IReadOnlyList<Tensor> parameters,
        Generator generator,
        int samples = 1
    )
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(samples, 1);
        using var scope = NewDisposeScope();
        var gradients = autograd.grad([loss()], [.. parameters], retain_graph: true, create_graph: true);
        var sums = parameters.Select(p => zeros_like(p)).ToArray();
        for (var sample = 0; sample < samples; sample++)
        {
            using var sampleScope = NewDisposeScope();
            var signs = parameters.Select(p => Signs(p, generator)).ToArray();
            var products = autograd.grad([.. gradients], [.. parameters], signs, retain_graph: true, allow_unused: true);
            for (var i = 0; i < sums.Length; i++) sums[i].add_(Present(products[i], parameters[i]).mul(signs[i]), alpha: 1.0 / samples);
        }
        return [.. sums.Select(s => s.MoveToOuterDisposeScope())];
    }

    private static Tensor Signs(Tensor like, Generator generator)
    {
        using var scope = NewDisposeScope();
        return rand(like.shape, generator: generator).sub_(0.5).sign().to(like.dtype).to(like.device).MoveToOuterDisposeScope();
    }

    private static Tensor Present(Tensor? gradient, Tensor parameter) =>
        gradient is null || gradient.IsInvalid ? zeros_like(parameter) : gradient;
}
