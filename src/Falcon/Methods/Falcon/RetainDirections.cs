using Falcon.Engine;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// The directions that the retain texts use most at the input of each trained matrix, taken out of the forget gradient: what a matrix does
/// to inputs that both kinds of text share is left to the retention loss. Source: collapse of irrelevant representations (Sondej and Yang,
/// arXiv 2509.11816), which takes them from activations; here they come from gradients, as the gradient of a matrix is a sum of products of
/// an output's and an input's vector: with random signs s_t on the tokens, sum_t s_t d_t a_t^T has the inputs a_t as its rows' span,
/// weighted by how much the output of the target layer depends on them. So no pass has to be opened up, and matrices of every kind are
/// treated alike.
/// </summary>
public sealed class RetainDirections : IDisposable
{
    private const int RowsPerDraw = 64;

    private readonly Tensor[] _directions;

    private RetainDirections(Tensor[] directions) => _directions = directions;

    /// <summary>How many directions are taken out, for each trained matrix; 0 for vectors (biases).</summary>
    public IReadOnlyList<long> Counts => [.. _directions.Select(directions => directions.shape[0])];

    /// <summary>Finds the directions under the unchanged weights.</summary>
    /// <param name="passes">The forward passes.</param>
    /// <param name="trained">The parameters, still unchanged.</param>
    /// <param name="texts">Retain texts, a batch for each draw of signs.</param>
    /// <param name="energyShare">Share of the energy of the inputs that the directions hold, above 0 and below 1.</param>
    /// <param name="generator">Draws signs and row mixtures.</param>
    /// <param name="cancellation">Stops between draws.</param>
    public static RetainDirections Find(
        LayerPasses passes,
        TrainedParameters trained,
        IEnumerable<TokenBatch> texts,
        double energyShare,
        Generator generator,
        CancellationToken cancellation = default
    )
    {
        using var scope = NewDisposeScope();
        var rows = trained.Leaves.Select(_ => new List<Tensor>()).ToList();
        List<int> reached =
        [
            .. Enumerable
                .Range(0, trained.Names.Count)
                .Where(i => TrainedParameters.LayerOf(trained.Names[i]) is >= 0 and var layer && layer <= passes.Target),
        ]; // no others have a forget gradient
        foreach (var batch in texts)
        {
            cancellation.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            var (updated, _) = passes.Run(batch);
            var counted = TokenRows.Select(updated, batch.LossMask(updated.device)); // [M, H] float32
            var signs = randn(counted.shape, dtype: float32, generator: generator).sign().to(counted.device);
            var gradients = autograd.grad([(counted * signs).sum()], [.. reached.Select(i => trained.Leaves[i])]);
            for (var i = 0; i < gradients.Count; i++)
                if (gradients[i].dim() == 2)
                    rows[reached[i]].Add(Mixed(gradients[i].detach().to(float32), generator).MoveToOuterDisposeScope());
        }

        using var guard = no_grad();
        return new RetainDirections([
            .. rows.Select((found, i) => Leading(found, trained.Leaves[i].shape[^1], energyShare).DetachFromDisposeScope()),
        ]);
    }

    /// <summary>G - (G V^T) V for each matrix, with the directions as rows of V; the results belong to the caller's scope.</summary>
    /// <param name="gradients">Forget gradients in the order of the trained parameters.</param>
    public IReadOnlyList<Tensor> Remove(IReadOnlyList<Tensor> gradients)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        return [.. gradients.Zip(_directions, (gradient, directions) =>
        {
            if (directions.shape[0] == 0) return gradient.clone().MoveToOuterDisposeScope();
            var v = directions.to(gradient.dtype);
            return (gradient - gradient.matmul(v.T).matmul(v)).MoveToOuterDisposeScope();
        })];
    }

    // Few random mixtures of the rows have the same expected Gram matrix, so what is kept does not grow with the outputs.
    private static Tensor Mixed(Tensor gradient, Generator generator)
    {
        using var scope = NewDisposeScope();
        if (gradient.shape[0] <= RowsPerDraw)
            return gradient.clone().MoveToOuterDisposeScope();
        var mixture =
            randn([RowsPerDraw, gradient.shape[0]], dtype: float32, generator: generator).to(gradient.device) / Math.Sqrt(RowsPerDraw);
        return mixture.matmul(gradient).MoveToOuterDisposeScope();
    }

    private static Tensor Leading(List<Tensor> rows, long width, double energyShare)
    {
        using var scope = NewDisposeScope();
        if (rows.Count == 0)
            return zeros([0, width]).MoveToOuterDisposeScope();
        var (_, directions) = PrincipalDirections.Leading(
            cat(rows),
            energyShare,
            (int)width * 3 / 4,
            PrincipalOffsetVector.DefaultNullThreshold
        );
        return directions.to(float32).MoveToOuterDisposeScope();
    }

    /// <summary>Releases the directions.</summary>
    public void Dispose()
    {
        foreach (var directions in _directions) directions.Dispose();
    }
}
