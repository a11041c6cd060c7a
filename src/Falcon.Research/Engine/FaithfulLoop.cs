using Falcon.Checkpoints;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Research.Engine;

/// <summary>
/// The authors' loop as they run it, to be measured against: two whole models in memory, four whole forward passes with output head a step,
/// every weight asks for a gradient so that both backward passes reach the embeddings, losses and Sophia rule in the dtype of the model.
/// Source: the published FALCON code. Owns both models.
/// </summary>
internal sealed class FaithfulLoop : IDisposable
{
    private const double Temperature = 0.7;
    private const double LearningRate = 5e-5,
        WeightDecay = 1e-3,
        Beta1 = 0.965,
        Beta2 = 0.99,
        Rho = 0.9,
        BatchConstant = 5120,
        Epsilon = 1e-15;
    private const int Directions = 1000;

    private readonly Weights _updatedWeights, _frozenWeights;
    private readonly CausalLM _updated, _frozen;
    private readonly int _layer;
    private readonly Tensor[] _trained, _mean, _curvature;

    public FaithfulLoop(Checkpoint checkpoint, ScalarType dtype, Device device, int layer, IReadOnlyList<string> trained)
    {
        _updatedWeights = checkpoint.LoadWeights(dtype, device);
        _frozenWeights = checkpoint.LoadWeights(dtype, device);
        (_updated, _frozen) = (new CausalLM(checkpoint.Config, _updatedWeights), new CausalLM(checkpoint.Config, _frozenWeights));
        _layer = layer;
        foreach (var weight in _updatedWeights.Tensors.Values)
            weight.requires_grad = true; // the loader's default; only the optimiser knows which are trained
        _trained = [.. trained.Select(_updated.Weight)];
        _mean = [.. _trained.Select(weight => zeros_like(weight).detach().DetachFromDisposeScope())];
        _curvature = [.. _trained.Select(weight => zeros_like(weight).detach().DetachFromDisposeScope())];
    }

    /// <summary>One step; gives the forget and the weighted retain loss.</summary>
    public (double Forget, double Retain) Step(TokenBatch forget, TokenBatch retain, Tensor offset, double retainWeight)
    {
        using var scope = NewDisposeScope();
        var forgetLoss = ContrastiveLoss(Hidden(_updated, forget), offset.to(_updated.DType), WithoutGradient(forget));
        var forgetGradients = Backward(forgetLoss);
        var retainLoss = RetainLoss(Hidden(_updated, retain), WithoutGradient(retain)) * retainWeight;
        var retainGradients = Backward(retainLoss);
        using var noGrad = no_grad();
        for (var i = 0; i < _trained.Length; i++) Update(i, Combine(forgetGradients[i], retainGradients[i]));
        foreach (var weight in _updatedWeights.Tensors.Values) weight.grad = null;
        return (forgetLoss.to(float32).item<float>(), retainLoss.to(float32).item<float>());
    }

    /// <summary>
    /// The published offset vector: whole decomposition, at most 1000 rank-one updates one after the other, tanh, six products.
    /// </summary>
    /// <param name="hidden">Hidden states [N, D].</param>
    /// <param name="noise">Standard normal matrix [D, D].</param>
    /// <param name="dtype">float32 as published; float64 to see what rounding decides.</param>
    public static Tensor LiteralVector(Tensor hidden, Tensor noise, ScalarType dtype = ScalarType.Float32)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var rows = hidden.reshape(-1, hidden.shape[^1]).to(dtype);
        var (_, values, vectors) = linalg.svd(rows, fullMatrices: false);
        var size = rows.shape[1];
        var projection = eye(size, dtype: dtype, device: rows.device);
        for (var i = 0; i < Math.Min(Directions, values.shape[0]); i++)
        {
            using var inner = NewDisposeScope();
            var weight = (values[i] / values[0]).sigmoid() * -1000;
            projection.sub_(weight * outer(vectors[i], vectors[i]));
        }

        projection = (projection + noise * 0.01).tanh();
        var vector = ones(size, dtype: dtype, device: rows.device) / Math.Sqrt(size);
        for (var i = 0; i < 6; i++)
        {
            vector = vector.matmul(projection).tanh();
            vector = vector / (vector.norm() + 1e-6);
        }

        return vector.MoveToOuterDisposeScope();
    }

    // The whole model runs; a hook keeps the output of one layer, and the logits are thrown away.
    private Tensor Hidden(CausalLM model, TokenBatch batch)
    {
        using var scope = NewDisposeScope();
        using var context = batch.Context(model);
        var hidden = model.HiddenStates(batch.InputIds(model.Device), _layer, context);
        var above = model.Layers(hidden, _layer + 1, model.Config.LayerCount - 1, context);
        _ = model.Head(above);
        return hidden.MoveToOuterDisposeScope();
    }

    private Tensor WithoutGradient(TokenBatch batch)
    {
        using var noGrad = no_grad();
        return Hidden(_frozen, batch);
    }

    private static Tensor ContrastiveLoss(Tensor anchor, Tensor offset, Tensor frozen)
    {
        using var scope = NewDisposeScope();
        static Tensor Unit(Tensor x) => nn.functional.normalize(x, p: 2, dim: -1);
        var unit = Unit(anchor);
        var positive = (unit * Unit(offset.expand(anchor.shape))).sum(-1, keepdim: true) / Temperature;
        var negative = (unit * Unit(frozen)).sum(-1, keepdim: true) / Temperature;
        var logits = cat([positive, negative], -1).reshape(-1, 2);
        return nn.functional.log_softmax(logits, 1).select(1, 0).mean().neg().MoveToOuterDisposeScope();
    }

    private static Tensor RetainLoss(Tensor updated, Tensor frozen)
    {
        using var scope = NewDisposeScope();
        return (1 - nn.functional.cosine_similarity(updated, frozen, dim: -1)).mean().MoveToOuterDisposeScope();
    }

    // backward() fills the gradient of every weight below the hook; those of the trained matrices are copied and cleared, the others pile
    // up.
    private Tensor[] Backward(Tensor loss)
    {
        loss.backward();
        var gradients = new Tensor[_trained.Length];
        for (var i = 0; i < gradients.Length; i++)
        {
            using var gradient = _trained[i].grad!;
            gradients[i] = gradient.detach().clone();
            _trained[i].grad = null;
        }

        return gradients;
    }

    private static Tensor Combine(Tensor forget, Tensor retain)
    {
        using var scope = NewDisposeScope();
        var (f, r) = (forget.reshape(-1), retain.reshape(-1));
        var conflict = nn.functional.cosine_similarity(f, r, dim: 0).to(float32).item<float>() < 0;
        if (conflict) f = f - (f.dot(r) / r.dot(r)) * r;
        return (conflict ? 0.8 * f + 1.2 * r : 0.1 * f + 1.9 * r).reshape(forget.shape).MoveToOuterDisposeScope();
    }

    private void Update(int index, Tensor gradient)
    {
        using var scope = NewDisposeScope();
        var (weight, mean, curvature) = (_trained[index], _mean[index], _curvature[index]);
        curvature.mul_(Beta2).addcmul_(gradient, gradient, 1 - Beta2);
        mean.mul_(Beta1).add_(gradient, alpha: 1 - Beta1);
        mean.mul_(Beta1).add_(gradient, alpha: 1 - Beta1);
        weight.mul_(1 - LearningRate * WeightDecay);
        var ratio = (mean.abs() / (curvature * (Rho * BatchConstant) + Epsilon)).clamp(max: 1);
        weight.sub_(mean.sign() * ratio * LearningRate);
    }

    public void Dispose()
    {
        foreach (var tensor in _mean.Concat(_curvature)) tensor.Dispose();
        _updatedWeights.Dispose();
        _frozenWeights.Dispose();
    }
}
