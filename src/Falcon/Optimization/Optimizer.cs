using System.Globalization;
using static TorchSharp.torch;

namespace Falcon.Optimization;

/// <summary>
/// An optimiser over float32 master parameters, which it borrows and changes in place; its state tensors are its own.
/// The state can be taken out and put back, so that a run continues exactly where it stopped.
/// </summary>
public abstract class Optimizer : IDisposable
{
    private readonly Dictionary<string, Tensor> _state = [];
    private readonly Tensor _step = zeros(1, dtype: int64).DetachFromDisposeScope();

    /// <summary>Takes the parameters that every step changes.</summary>
    /// <param name="parameters">Float32 tensors, borrowed; they must outlive the optimiser.</param>
    /// <param name="learningRate">Rate of the first step.</param>
    /// <exception cref="ArgumentException">No parameter, one that is not float32, or a negative rate.</exception>
    protected Optimizer(IReadOnlyList<Tensor> parameters, double learningRate)
    {
        if (parameters.Count == 0) throw new ArgumentException("An optimiser needs at least one parameter.", nameof(parameters));
        if (parameters.FirstOrDefault(p => p.dtype != float32) is { } wrong)
            throw new ArgumentException($"Master parameters are float32; one is {wrong.dtype}.", nameof(parameters));
        Parameters = parameters;
        LearningRate = learningRate;
        _state["step"] = _step;
    }

    /// <summary>The master parameters, in the order of the gradients.</summary>
    public IReadOnlyList<Tensor> Parameters { get; }

    /// <summary>Step size of the next step; a schedule sets it.</summary>
    public double LearningRate { get; set; }

    /// <summary>Number of steps taken so far.</summary>
    public long StepCount { get; private set; }

    /// <summary>All state by name (<c>step</c>, and one tensor per moment and parameter such as <c>exp_avg.0</c>), borrowed from the optimiser: copy to keep.</summary>
    public IReadOnlyDictionary<string, Tensor> State => _state;

    /// <summary>One update of every parameter, without recording a gradient.</summary>
    /// <param name="gradients">One gradient a parameter, same shape, any floating type.</param>
    /// <exception cref="ArgumentException">Another number or another shape of gradients.</exception>
    public void Step(IReadOnlyList<Tensor> gradients)
    {
        RequireMatching(gradients, nameof(gradients));
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        StepCount++;
        _step.fill_(StepCount);
        for (var i = 0; i < Parameters.Count; i++)
        {
            using var parameterScope = NewDisposeScope();
            Update(i, Parameters[i], gradients[i].to(float32));
        }
    }

    /// <summary>Puts a state back that <see cref="State"/> gave; the values are copied.</summary>
    /// <exception cref="ArgumentException">A name or shape that does not fit this optimiser and its parameters.</exception>
    public void Load(IReadOnlyDictionary<string, Tensor> state)
    {
        var missing = _state.Keys.Except(state.Keys).ToArray();
        var unknown = state.Keys.Except(_state.Keys).ToArray();
        if (missing.Length + unknown.Length > 0)
            throw new ArgumentException($"The optimiser state does not fit: missing [{string.Join(", ", missing)}], unknown [{string.Join(", ", unknown)}].", nameof(state));
        foreach (var (name, target) in _state)
            if (!target.shape.AsSpan().SequenceEqual(state[name].shape))
                throw new ArgumentException($"The optimiser state {name} has shape [{string.Join(", ", state[name].shape)}], expected [{string.Join(", ", target.shape)}].", nameof(state));
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, target) in _state) target.copy_(state[name]);
        StepCount = _step.item<long>();
    }

    /// <summary>Frees the state tensors; the parameters stay.</summary>
    public void Dispose()
    {
        foreach (var tensor in _state.Values) tensor.Dispose();
        _state.Clear();
        GC.SuppressFinalize(this);
    }

    /// <summary>The rule of the optimiser: changes <paramref name="parameter"/> and the moments of index <paramref name="index"/> in place.</summary>
    protected abstract void Update(int index, Tensor parameter, Tensor gradient);

    /// <summary>One zero tensor per parameter, kept in <see cref="State"/> under <paramref name="name"/> and the index.</summary>
    protected IReadOnlyList<Tensor> NewMoments(string name)
    {
        using var guard = no_grad();
        var moments = Parameters.Select(p => zeros_like(p).DetachFromDisposeScope()).ToArray();
        for (var i = 0; i < moments.Length; i++) _state[name + "." + i.ToString(CultureInfo.InvariantCulture)] = moments[i];
        return moments;
    }

    /// <summary>average = decay * average + (1 - decay) * value, in place.</summary>
    protected static void Average(Tensor average, Tensor value, double decay) => average.mul_(decay).add_(value, alpha: 1 - decay);

    /// <summary><see cref="Average(Tensor, Tensor, double)"/> of one moment and value per parameter, without recording a gradient.</summary>
    /// <exception cref="ArgumentException">Another number or another shape of values.</exception>
    protected void Average(IReadOnlyList<Tensor> moments, IReadOnlyList<Tensor> values, double decay)
    {
        RequireMatching(values, nameof(values));
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        for (var i = 0; i < moments.Count; i++) Average(moments[i], values[i].to(float32), decay);
    }

    private void RequireMatching(IReadOnlyList<Tensor> tensors, string name)
    {
        if (tensors.Count != Parameters.Count) throw new ArgumentException($"{tensors.Count} tensors for {Parameters.Count} parameters.", name);
        for (var i = 0; i < tensors.Count; i++)
            if (!tensors[i].shape.AsSpan().SequenceEqual(Parameters[i].shape))
                throw new ArgumentException($"Tensor {i} has shape [{string.Join(", ", tensors[i].shape)}], its parameter [{string.Join(", ", Parameters[i].shape)}].", name);
    }
}
