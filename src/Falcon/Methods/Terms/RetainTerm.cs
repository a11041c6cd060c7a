using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>Settings of a loss on the retain texts.</summary>
public abstract record RetainTerm : Term
{
    /// <summary>Weight of the loss: one number, or one for each forget file. 0 leaves the loss out.</summary>
    [Range(0, double.MaxValue), MinLength(1), JsonConverter(typeof(NumberOrList))]
    public IReadOnlyList<double> Weight { get; init; } = [1];

    /// <summary>Whether the loss says how far the run has drifted from the unchanged model.</summary>
    [JsonIgnore]
    public virtual bool SeesDrift => false;

    /// <summary>The loss for a run; the caller owns it.</summary>
    /// <param name="inputs">Models, texts, seed.</param>
    public abstract RetainLoss Build(TermInputs inputs);

    /// <summary>The weight for a topic.</summary>
    /// <param name="topic">The topic, from 0.</param>
    internal double WeightOf(int topic) => Weight[Weight.Count == 1 ? 0 : topic];

    /// <inheritdoc/>
    public override IEnumerable<string> Faults(TermUse use)
    {
        if (Weight.Count != 1 && Weight.Count != use.Data.Forget.Count)
            yield return $"weight: {Weight.Count} weights for {use.Data.Forget.Count} forget file(s); give one, or one each";
    }
}

/// <summary>A loss on the retain texts of a step.</summary>
public abstract class RetainLoss : IDisposable
{
    /// <summary>The loss without its weight, a float32 scalar with a graph to the trained parameters.</summary>
    /// <param name="pass">The texts and what the models make of them.</param>
    public abstract Tensor Loss(StepPass pass);

    /// <summary>The loss with its weight for the step.</summary>
    /// <param name="pass">The texts and what the models make of them.</param>
    /// <param name="weight">Above 0.</param>
    public virtual Tensor Weighted(StepPass pass, double weight) => Loss(pass) * weight;

    /// <summary>The weight of a step; by default the term's own. A term may adapt it.</summary>
    /// <param name="weight">The weight of the term's settings for the topic.</param>
    public virtual double StepWeight(double weight) => weight;

    /// <summary>
    /// The unweighted loss of the unchanged model, where it says how far the run has drifted from that model; null where it does not.
    /// </summary>
    public virtual double? Unchanged => null;

    /// <summary>Called with the unweighted loss after each step's gradients.</summary>
    /// <param name="step">The step, from 0.</param>
    /// <param name="loss">The loss without its weight.</param>
    public virtual void AfterStep(int step, double loss) { }

    /// <summary>Numbers of the loss for <c>metrics.jsonl</c>, by name; empty for none.</summary>
    public virtual IReadOnlyDictionary<string, double> Measures => new Dictionary<string, double>();

    /// <summary>Numbers that a resumed run needs, by name; empty for none.</summary>
    public virtual IReadOnlyDictionary<string, double> State => new Dictionary<string, double>();

    /// <summary>Takes back what <see cref="State"/> gave.</summary>
    /// <param name="state">The numbers by name.</param>
    public virtual void Restore(IReadOnlyDictionary<string, double> state) { }

    /// <summary>Releases kept tensors.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases kept tensors.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> was called.</param>
    protected virtual void Dispose(bool disposing) { }
}
