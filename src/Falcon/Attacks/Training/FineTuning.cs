using Falcon.Attacks.Weights;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Attacks.Training;

/// <summary>Fine-tuning with a low-rank adapter, as an attacker does it.</summary>
/// <param name="LearningRate">Peak learning rate of AdamW; warm-up over 5 % of the steps, then linear decay to zero.</param>
/// <param name="Steps">Number of steps.</param>
/// <param name="BatchSize">Number of texts in a step.</param>
/// <param name="Rank">Rank of the adapter.</param>
/// <param name="Seed">Seed of the adapter and of the order of the texts.</param>
internal sealed record FineTuning(double LearningRate, int Steps, int BatchSize, int Rank, ulong Seed)
{
    private static readonly string[] Adapted = ["self_attn.q_proj.weight", "self_attn.v_proj.weight", "mlp.down_proj.weight"];

    /// <summary>
    /// Trains an adapter on the query, value and down projections of every layer (on all matrices in families that name them otherwise),
    /// and hands over the adapted model at the given steps.
    /// </summary>
    /// <param name="model">The model; unchanged.</param>
    /// <param name="texts">Texts whose scored tokens are learned; every epoch has a random order.</param>
    /// <param name="padId">Padding id.</param>
    /// <param name="visits">Number of finished steps at which <paramref name="visit"/> is called; 0 is the start.</param>
    /// <param name="visit">Gets the number of finished steps and the model, borrowed.</param>
    /// <param name="cancellation">Stops between steps.</param>
    public void Run(
        CausalLM model,
        IReadOnlyList<ScoredSequence> texts,
        int padId,
        IReadOnlyCollection<int> visits,
        Action<int, CausalLM> visit,
        CancellationToken cancellation
    )
    {
        var all = LayerMatrices.All(model.Config);
        List<string> usual = [.. all.Where(name => Adapted.Any(name.EndsWith))];
        var names = usual.Count > 0 ? usual : all; // families that pack or name their matrices otherwise: every one
        using var adapter = new LowRankAdapter(model, names, Rank, Seed);
        using var optimizer = new AdamW(adapter.Parameters, LearningRate);
        var warmUp = Math.Max(1, Steps / 20);
        var schedule = new LearningRateSchedule(LearningRate, Steps, LearningRateDecay.Linear, warmUp);
        Queue<int> order = new();
        for (var (step, epoch) = (0, 0); ; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (visits.Contains(step)) Show(step, adapter, visit);
            if (step == Steps) return;
            while (order.Count < BatchSize)
                foreach (var i in new SeededRandom(Seed, "fine-tuning order", epoch++).Permutation(texts.Count)) order.Enqueue(i);
            List<ScoredSequence> batch = [.. Enumerable.Range(0, BatchSize).Select(_ => texts[order.Dequeue()])];
            using var scope = NewDisposeScope();
            optimizer.LearningRate = schedule.At(step);
            optimizer.Step([.. autograd.grad([AnswerLoss.PerText(adapter.Adapted(), batch, padId).mean()], [.. adapter.Parameters])]);
        }
    }

    private static void Show(int step, LowRankAdapter adapter, Action<int, CausalLM> visit)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        visit(step, adapter.Adapted());
    }
}
