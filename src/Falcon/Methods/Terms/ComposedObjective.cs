using Falcon.Engine;
using Falcon.Methods.Gradients;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>
/// An objective made of terms. Forget and retain loss are sums of their terms; each is differentiated by itself, part by part where the
/// batch is split. Owns the losses.
/// </summary>
public sealed class ComposedObjective : Objective
{
    private readonly TermInputs _inputs;
    private readonly ObjectiveSettings _settings;
    private readonly IReadOnlyList<ForgetLoss> _forget;
    private readonly List<RetainLoss> _retain;
    private readonly GradientDifferentiation _differentiation;

    /// <summary>Builds the losses of a run.</summary>
    /// <param name="settings">The terms.</param>
    /// <param name="inputs">Models, texts, seed.</param>
    public ComposedObjective(ObjectiveSettings settings, TermInputs inputs)
        : this(settings, inputs, Built(settings.Forget, term => term.Build(inputs))) { }

    /// <summary>The same with forget losses that exist already.</summary>
    /// <param name="settings">The terms; their forget terms are replaced by <paramref name="forget"/>.</param>
    /// <param name="inputs">Models, texts, seed.</param>
    /// <param name="forget">Losses, owned from now on.</param>
    public ComposedObjective(ObjectiveSettings settings, TermInputs inputs, IReadOnlyList<ForgetLoss> forget)
    {
        (_settings, _inputs, _forget) = (settings, inputs, forget);
        try
        {
            _retain = Built(settings.Retain, term => term.Build(inputs));
        }
        catch
        {
            foreach (var loss in forget) loss.Dispose();
            throw;
        }

        _differentiation = new GradientDifferentiation(inputs.Trained, inputs.MicroBatchTokens);
    }

    /// <inheritdoc/>
    public override ObjectiveGradients Gradients(StepBatch batch)
    {
        using var scope = NewDisposeScope();
        // Losses of hidden states do not pass through the layers above the target. They also leave the embedding, whose rows all texts
        // share, to the retain loss.
        var reach = _inputs.Passes is { } passes && !_settings.Forget.Any(term => term.Needs.HasFlag(PassNeeds.Likelihoods))
            ? passes.Target
            : WeightNames.AboveLayers;
        var tally = new ForgetTally();
        var forget = _differentiation.Accumulate(batch.Forget, reach, part => ForgetLoss(batch, part, tally));
        var losses = new double[_retain.Count];
        var weights = _retain.Select((loss, i) => loss.StepWeight(_settings.Retain[i].WeightOf(batch.Scheduled.Topic))).ToArray();
        var retain = _differentiation.Accumulate(batch.Retain, WeightNames.AboveLayers, part => RetainLoss(batch, part, weights, losses));
        for (var i = 0; i < _retain.Count; i++) _retain[i].AfterStep(batch.Scheduled.Step, losses[i]);
        return new ObjectiveGradients(
            forget.Loss,
            retain.Loss,
            [.. forget.Gradients.Select(gradient => gradient.MoveToOuterDisposeScope())],
            [.. retain.Gradients.Select(gradient => gradient.MoveToOuterDisposeScope())],
            tally.NormRatio,
            Drift(weights, losses),
            tally.Pushed
        )
        {
            Measures = Measures(),
        };
    }

    /// <inheritdoc/>
    public override Tensor CurvatureLogits(StepBatch batch)
    {
        using var pass = new StepPass(_inputs, batch, batch.Forget, isForget: true);
        return _forget.Select(loss => loss.CurvatureLogits(pass)).FirstOrDefault(logits => logits is not null)
            ?? base.CurvatureLogits(batch);
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        foreach (var edit in _settings.Edits) edit.Apply(_inputs);
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double> State => _retain.SelectMany(loss => loss.State).ToDictionary();

    /// <inheritdoc/>
    public override void Restore(IReadOnlyDictionary<string, double> state)
    {
        foreach (var loss in _retain) loss.Restore(state);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (var loss in _forget) loss.Dispose();
            foreach (var loss in _retain) loss.Dispose();
        }

        base.Dispose(disposing);
    }

    private Tensor? ForgetLoss(StepBatch batch, TokenBatch part, ForgetTally tally)
    {
        using var scope = NewDisposeScope();
        using var pass = new StepPass(_inputs, batch, part, isForget: true);
        var share = (double)part.CountedTokens / batch.Forget.CountedTokens;
        foreach (var weights in _forget.Select(loss => loss.TokenWeights(pass)).OfType<Tensor>())
            pass.TokenWeights = pass.TokenWeights is null ? weights : pass.TokenWeights * weights;
        Tensor? total = null;
        for (var i = 0; i < _forget.Count; i++)
            if (OfTerm(_forget[i], pass) is { } value)
            {
                RequireLoss(value, "forget", _settings.Forget.ElementAtOrDefault(i));
                total = total is null ? value : total + value;
            }

        if (_inputs.Passes is not null && total is not null) tally.AddNormRatio(share, pass.NormRatios.detach().mean().item<float>());
        if (pass.TokenWeights is { } counted) tally.AddPushed(share, counted.mean().item<float>());
        return total?.MoveToOuterDisposeScope();
    }

    // A loss of hidden states is the mean over the texts as they are and over each adversary.
    private Tensor? OfTerm(ForgetLoss loss, StepPass pass)
    {
        var plain = loss.Loss(pass);
        if (loss is not StatesLoss states || plain is null) return plain;
        List<Tensor> attacked = [];
        foreach (var adversary in _forget.OfType<AdversaryLoss>())
        {
            var (updated, frozen) = adversary.Attack(states, pass);
            attacked.Add(states.At(updated, frozen, pass));
        }

        return attacked.Count == 0 ? plain : (plain + stack(attacked).sum()) / (1 + attacked.Count);
    }

    private Tensor? RetainLoss(StepBatch batch, TokenBatch part, double[] weights, double[] losses)
    {
        using var scope = NewDisposeScope();
        using var pass = new StepPass(_inputs, batch, part, isForget: false);
        var share = (double)part.CountedTokens / batch.Retain.CountedTokens;
        Tensor? total = null;
        for (var i = 0; i < _retain.Count; i++)
        {
            if (_settings.Retain[i].WeightOf(batch.Scheduled.Topic) == 0) continue;
            // An adapted weight may be 0 for a while; its loss is still computed, because the adaptation needs it.
            var weighted = weights[i] == 0 ? _retain[i].Loss(pass) : _retain[i].Weighted(pass, weights[i]);
            RequireLoss(weighted, "retain", _settings.Retain[i]);
            losses[i] += share * weighted.item<float>() / (weights[i] == 0 ? 1 : weights[i]);
            if (weights[i] == 0) weighted = weighted * 0;
            total = total is null ? weighted : total + weighted;
        }

        return total?.MoveToOuterDisposeScope();
    }

    // libtorch ends the process on a loss that it cannot differentiate.
    private static void RequireLoss(Tensor loss, string list, Term? term)
    {
        if (loss is { dtype: ScalarType.Float32, requires_grad: true } && loss.numel() == 1) return;
        throw new InvalidOperationException(
            $"objective.{list}.{(term is null ? "loss" : TermKinds.NameOf(term))}: the loss must be a float32 scalar with a graph to the "
                + $"trained parameters; it is {loss.dtype} of shape [{string.Join(", ", loss.shape)}]"
                + (loss.requires_grad ? "" : " without a graph")
        );
    }

    private double? Drift(double[] weights, double[] losses)
    {
        double? drift = null;
        for (var i = 0; i < _retain.Count; i++)
            if (weights[i] > 0 && _retain[i].Unchanged is { } unchanged) drift = (drift ?? 0) + losses[i] - unchanged;
        return drift;
    }

    private Dictionary<string, double>? Measures()
    {
        var measures = _retain.SelectMany(loss => loss.Measures).ToDictionary();
        return measures.Count > 0 ? measures : null;
    }

    // Means over the counted tokens of all parts.
    private sealed class ForgetTally
    {
        public double? NormRatio { get; private set; }

        public double? Pushed { get; private set; }

        public void AddNormRatio(double share, double value) => NormRatio = (NormRatio ?? 0) + share * value;

        public void AddPushed(double share, double value) => Pushed = (Pushed ?? 0) + share * value;
    }

    // If a term cannot be built, the losses that were built before it are disposed.
    private static List<TLoss> Built<TTerm, TLoss>(IReadOnlyList<TTerm> terms, Func<TTerm, TLoss> build)
        where TLoss : IDisposable
    {
        List<TLoss> losses = [];
        try
        {
            foreach (var term in terms) losses.Add(build(term));
            return losses;
        }
        catch
        {
            foreach (var loss in losses) loss.Dispose();
            throw;
        }
    }
}
