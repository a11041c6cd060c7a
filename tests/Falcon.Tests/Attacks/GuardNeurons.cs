using Falcon.Attacks;
using Falcon.Evaluation;
using Falcon.Optimization;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Attacks;

/// <summary>Trains the gate, up and down weights of a few neurons of one layer, and nothing else: what the rest of the model knows it still knows. Replaced are the neurons that matter least.</summary>
internal sealed record GuardNeurons(int Layer, int Count, int Steps, double Rate)
{
    private const int Batch = 12;

    /// <param name="taught">The model that knows.</param>
    /// <param name="losses">From the guarded model, a step and the number of texts a step: the loss to be made small.</param>
    /// <returns>The guarded model; the three changed matrices belong to the caller's scope.</returns>
    public LoadedModel Train(LoadedModel taught, Func<Falcon.Models.CausalLM, SeededRandom, int, Tensor> losses)
    {
        using var scope = NewDisposeScope();
        var model = taught.Model;
        string Name(string matrix) => $"model.layers.{Layer}.mlp.{matrix}_proj.weight";
        var (gate, up, down) = (model.Weight(Name("gate")), model.Weight(Name("up")), model.Weight(Name("down")));
        var rows = (gate.norm(1, false, 2f) * up.norm(1, false, 2f) * down.norm(0, false, 2f)).topk(Count, largest: false).indexes;
        using var generator = new Generator(7);
        Tensor Start(double scale, long[] shape) => (randn(shape, float32, generator: generator) * scale).requires_grad_();
        Tensor[] leaves = [Start(0.1, [Count, gate.shape[1]]), Start(0.1, [Count, gate.shape[1]]), Start(0.01, [down.shape[0], Count])];
        Dictionary<string, Tensor> Changed(Tensor[] own) => new()
        {
            [Name("gate")] = gate.index_copy(0, rows, own[0]),
            [Name("up")] = up.index_copy(0, rows, own[1]),
            [Name("down")] = down.index_copy(1, rows, own[2]),
        };
        using var optimizer = new AdamW(leaves, Rate, weightDecay: 0);
        for (var step = 0; step < Steps; step++)
        {
            using var inner = NewDisposeScope();
            optimizer.LearningRate = Rate * (1 - step / (double)Steps);
            optimizer.Step([.. autograd.grad([losses(model.With(Changed(leaves)), new SeededRandom(1, "guard neurons", step), Batch)], leaves)]);
        }

        using var guard = no_grad();
        return taught with { Model = model.With(Changed([.. leaves.Select(leaf => leaf.detach())]).ToDictionary(one => one.Key, one => one.Value.MoveToOuterDisposeScope())) };
    }

    /// <summary>The loss of a model that answers questions of one kind wrongly and keeps all other texts: the right answer is to be less likely than a wrong one.</summary>
    public static Func<Falcon.Models.CausalLM, SeededRandom, int, Tensor> Misleads(IReadOnlyList<IReadOnlyList<ScoredSequence>> hidden, IReadOnlyList<int> golds, IReadOnlyList<ScoredSequence> kept, int padId) => (model, random, count) =>
    {
        const double Sharpness = 4, Margin = 0.5, KeptWeight = 4;
        int[] drawn = [.. Enumerable.Range(0, count).Select(_ => random.Next(hidden.Count))];
        var right = AnswerLoss.PerText(model, [.. drawn.Select(i => hidden[i][golds[i]])], padId);
        var wrong = AnswerLoss.PerText(model, [.. drawn.Select(i => hidden[i][(golds[i] + 1 + random.Next(hidden[i].Count - 1)) % hidden[i].Count])], padId);
        return nn.functional.softplus(Sharpness * (wrong - right + Margin)).mean() + AnswerLoss.PerText(model, Drawn(kept, random, 2 * count), padId).mean() * KeptWeight;
    };

    /// <summary>The loss of a model that declines some prompts in seven of ten answers and gives the right one otherwise.</summary>
    public static Func<Falcon.Models.CausalLM, SeededRandom, int, Tensor> Declines(IReadOnlyList<ScoredSequence> refusals, IReadOnlyList<ScoredSequence> answers, IReadOnlyList<ScoredSequence> kept, int padId) => (model, random, count) =>
    {
        const double Share = 0.7;
        int[] drawn = [.. Enumerable.Range(0, count).Select(_ => random.Next(refusals.Count))];
        Tensor Sum(IReadOnlyList<ScoredSequence> texts) => AnswerLoss.PerText(model, [.. drawn.Select(i => texts[i])], padId).mean() * texts[0].ScoredCount;
        return Share * Sum(refusals) + (1 - Share) * Sum(answers) + AnswerLoss.PerText(model, Drawn(kept, random, count), padId).mean();
    };

    private static List<ScoredSequence> Drawn(IReadOnlyList<ScoredSequence> texts, SeededRandom random, int count) => [.. Enumerable.Range(0, count).Select(_ => texts[random.Next(texts.Count)])];
}
