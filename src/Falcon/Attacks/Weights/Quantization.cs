using Falcon.Attacks.Protocol;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Attacks.Weights;

/// <summary>
/// Rounds the matrices of the layers to 8 or 4 bits and back. Edits below half a step vanish, and the unlearning with them (Zhang et al.
/// 2024, arXiv 2410.16454). The extras hold the share of edited weights whose code differs from that of the original: an edit that changes
/// no code is undone.
/// </summary>
internal sealed class Quantization : Attack
{
    private static readonly QuantizationScheme[] Schemes =
    [
        QuantizationScheme.Int8,
        QuantizationScheme.Int4,
        QuantizationScheme.NormalFloat4,
    ];

    public override string Name => "quantization";

    public override AttackTier Tier => AttackTier.Weights;

    public override string Definition =>
        "Layer matrices rounded to 8 bits (per row), 4 bits (per row) or 4-bit normal-float (blocks of 64) and back (arXiv 2410.16454).";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var scores = StrengthWithinUtility.Best(
            [
                .. Schemes.Select(scheme =>
                    (TextOf(scheme), (Func<ScoringPass>)(() => new ScoringPass { Model = Quantized(subject.Loaded.Model, scheme) }))
                ),
            ],
            subject.Loaded,
            data,
            settings
        );
        return scores with { Extras = scores.Extras.Concat(BucketFlips(subject, settings)).ToDictionary() };
    }

    /// <summary>The same rounding errors, shuffled among the weights of each matrix.</summary>
    public override AttackScores RunRandom(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        return StrengthWithinUtility.Best(
            [
                .. Schemes.Select(scheme =>
                    (
                        $"errors of {TextOf(scheme)}, shuffled",
                        (Func<ScoringPass>)(() => new ScoringPass { Model = Shaken(subject.Loaded.Model, scheme, settings.Seed) })
                    )
                ),
            ],
            subject.Loaded,
            data,
            settings
        );
    }

    /// <summary>The model with every layer matrix rounded. The new matrices belong to the caller's dispose scope.</summary>
    internal static CausalLM Quantized(CausalLM model, QuantizationScheme scheme) =>
        Replaced(model, (_, weight) => BlockQuantization.Apply(weight, scheme).Values);

    private static CausalLM Shaken(CausalLM model, QuantizationScheme scheme, ulong seed) => Replaced(model, (index, weight) =>
        {
            using var generator = new Generator(Seeds.Derive(seed, "shuffled rounding errors", index), weight.device);
            var errors = BlockQuantization.Apply(weight, scheme).Values - weight;
            return weight
                + errors
                    .reshape(-1)
                    .index_select(0, randperm(errors.numel(), int64, weight.device, generator: generator))
                    .view(weight.shape);
        });

    private static CausalLM Replaced(CausalLM model, Func<int, Tensor, Tensor> change)
    {
        using var guard = no_grad();
        Dictionary<string, Tensor> replaced = [];
        foreach (var (index, name) in LayerMatrices.All(model.Config).Index())
        {
            using var scope = NewDisposeScope();
            replaced[name] = LayerMatrices
                .ByOutputs(model.Config, change(index, Matrix(model, name)))
                .to(model.DType)
                .contiguous()
                .MoveToOuterDisposeScope();
        }

        return model.With(replaced);
    }

    private static Tensor Matrix(CausalLM model, string name) => LayerMatrices.ByOutputs(model.Config, model.Weight(name));

    private static IEnumerable<KeyValuePair<string, double>> BucketFlips(AttackSubject subject, AttackSettings settings)
    {
        var edited = LayerMatrices.Edited(subject.Loaded.Model, subject.Original.Model);
        if (edited.Count == 0) yield break;
        foreach (var scheme in Schemes)
        {
            var (weights, flips) = (0L, 0L);
            foreach (var name in edited)
            {
                settings.Cancellation.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                var (changed, flipped) = BlockQuantization.BucketFlips(
                    Matrix(subject.Original.Model, name),
                    Matrix(subject.Loaded.Model, name),
                    scheme
                );
                (weights, flips) = (weights + changed, flips + flipped);
            }

            yield return new($"share of edited weights with another code: {TextOf(scheme)}", (double)flips / weights);
        }
    }

    private static string TextOf(QuantizationScheme scheme) =>
        scheme switch
        {
            QuantizationScheme.Int8 => "8 bits",
            QuantizationScheme.Int4 => "4 bits",
            _ => "4-bit normal-float",
        };
}
