using System.Globalization;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Optimization;

/// <summary>
/// An optimiser over float32 master parameters, which it borrows and changes in place; its moments are its own, in memory or in a scratch
/// file. Every rule is elementwise and works on one block of elements at a time. The state can be taken out and put back, so that a run
/// continues exactly where it stopped.
/// </summary>
public abstract class Optimizer : IDisposable
{
    private readonly Dictionary<string, BlockTensor> _state = [];
    private readonly BlockTensor[][] _moments; // by parameter, then by moment

    /// <summary>Takes the parameters that every step changes.</summary>
    /// <param name="parameters">Float32 masters, borrowed; they must outlive the optimiser.</param>
    /// <param name="learningRate">Rate of the first step.</param>
    /// <param name="moments">Names of the moments that the rule keeps for each parameter; they start at zero.</param>
    /// <param name="file">Where the moments lie; null for memory.</param>
    /// <exception cref="ArgumentException">No parameter.</exception>
    protected Optimizer(IReadOnlyList<BlockTensor> parameters, double learningRate, IReadOnlyList<string> moments, ScratchFile? file)
    {
        if (parameters.Count == 0) throw new ArgumentException("An optimiser needs at least one parameter.", nameof(parameters));
        Parameters = parameters;
        LearningRate = learningRate;
        _moments = [.. parameters.Select(parameter => moments.Select(_ => BlockTensor.ZerosLike(parameter, file)).ToArray())];
        for (var m = 0; m < moments.Count; m++)
            for (var i = 0; i < parameters.Count; i++)
                _state[moments[m] + "." + i.ToString(CultureInfo.InvariantCulture)] = _moments[i][m];
    }

    /// <summary>The master parameters, in the order of the gradients.</summary>
    public IReadOnlyList<BlockTensor> Parameters { get; }

    /// <summary>Step size of the next step; a schedule sets it.</summary>
    public double LearningRate { get; set; }

    /// <summary>Number of steps taken so far.</summary>
    public long StepCount { get; private set; }

    /// <summary>All moments by name and index of the parameter, such as <c>exp_avg.0</c>; borrowed.</summary>
    public IReadOnlyDictionary<string, BlockTensor> State => _state;

    /// <summary>One update of every parameter, without recording a gradient.</summary>
    /// <param name="gradients">One gradient a parameter, same shape, any floating type.</param>
    /// <exception cref="ArgumentException">Another number or another shape of gradients.</exception>
    public void Step(IReadOnlyList<Tensor> gradients)
    {
        RequireMatching(gradients, nameof(gradients));
        BeginStep();
        for (var i = 0; i < Parameters.Count; i++)
        {
            var gradient = gradients[i];
            UpdateParameter(i, (start, count) => gradient.detach().reshape(-1).narrow(0, start, count));
        }
    }

    /// <summary>Counts a step; then every parameter is updated once by <see cref="UpdateParameter"/>.</summary>
    public void BeginStep() => StepCount++;

    /// <summary>Updates one parameter block by block, without recording a gradient.</summary>
    /// <param name="index">Which parameter.</param>
    /// <param name="gradient">Gives the gradient's elements from a start on, flat, any floating type.</param>
    /// <param name="updated">Called with each block's start and new values.</param>
    /// <returns>Sum of the squared changes.</returns>
    public double UpdateParameter(int index, Func<long, long, Tensor> gradient, Action<long, Tensor>? updated = null)
    {
        using var guard = no_grad();
        var parameter = Parameters[index];
        var moments = _moments[index];
        double change = 0;
        foreach (var (start, count) in parameter.Blocks())
        {
            using var scope = NewDisposeScope();
            var values = parameter.Read(start, count);
            Tensor[] averages = [.. moments.Select(moment => moment.Read(start, count))];
            var before = values.clone();
            Update(values, gradient(start, count).to(float32), averages);
            parameter.Write(start, values);
            for (var m = 0; m < moments.Length; m++) moments[m].Write(start, averages[m]);
            before.sub_(values);
            change += before.dot(before).item<float>();
            updated?.Invoke(start, values);
        }

        return change;
    }

    /// <summary>Puts a state back that <see cref="State"/> gave, and the number of steps; the values are copied.</summary>
    /// <param name="names">The names in the stored state.</param>
    /// <param name="read">Gives a stored tensor by its name, in the caller's scope.</param>
    /// <param name="stepCount">Steps taken when it was stored.</param>
    /// <exception cref="ArgumentException">A name or shape that does not fit this optimiser and its parameters.</exception>
    public void Load(IReadOnlyCollection<string> names, Func<string, Tensor> read, long stepCount)
    {
        var missing = _state.Keys.Except(names).ToArray();
        var unknown = names.Except(_state.Keys).ToArray();
        if (missing.Length + unknown.Length > 0)
            throw new ArgumentException(
                $"The optimiser state does not fit: missing [{string.Join(", ", missing)}], unknown [{string.Join(", ", unknown)}].",
                nameof(names)
            );
        foreach (var (name, target) in _state)
        {
            using var scope = NewDisposeScope();
            var value = read(name);
            if (!target.Shape.SequenceEqual(value.shape))
                throw new ArgumentException(
                    $"The optimiser state {name} has shape [{string.Join(", ", value.shape)}], expected "
                        + $"[{string.Join(", ", target.Shape)}].",
                    nameof(read)
                );
            target.Fill(value);
        }

        StepCount = stepCount;
    }

    /// <summary>Frees the moments; the parameters stay.</summary>
    public void Dispose()
    {
        foreach (var moment in _state.Values) moment.Dispose();
        _state.Clear();
        GC.SuppressFinalize(this);
    }

    /// <summary>The rule of the optimiser on one block: changes values and moments in place.</summary>
    /// <param name="parameter">Values [n], float32.</param>
    /// <param name="gradient">Gradient [n], float32.</param>
    /// <param name="moments">The moments [n] in the order of their names.</param>
    protected abstract void Update(Tensor parameter, Tensor gradient, IReadOnlyList<Tensor> moments);

    /// <summary>average = decay * average + (1 - decay) * value, in place.</summary>
    protected static void Average(Tensor average, Tensor value, double decay) => average.mul_(decay).add_(value, alpha: 1 - decay);

    /// <summary>
    /// <see cref="Average(Tensor, Tensor, double)"/> of one moment (by its place among the names) and one value per parameter, without
    /// recording a gradient.
    /// </summary>
    /// <exception cref="ArgumentException">Another number or another shape of values.</exception>
    protected void Average(int moment, IReadOnlyList<Tensor> values, double decay)
    {
        RequireMatching(values, nameof(values));
        using var guard = no_grad();
        for (var i = 0; i < values.Count; i++)
        {
            foreach (var (start, count) in Parameters[i].Blocks())
            {
                using var scope = NewDisposeScope();
                var block = _moments[i][moment].Read(start, count);
                Average(block, values[i].reshape(-1).narrow(0, start, count).to(float32), decay);
                _moments[i][moment].Write(start, block);
            }
        }
    }

    private void RequireMatching(IReadOnlyList<Tensor> tensors, string name)
    {
        if (tensors.Count != Parameters.Count)
            throw new ArgumentException($"{tensors.Count} tensors for {Parameters.Count} parameters.", name);
        for (var i = 0; i < tensors.Count; i++)
            if (!Parameters[i].Shape.SequenceEqual(tensors[i].shape))
                throw new ArgumentException(
                    $"Tensor {i} has shape [{string.Join(", ", tensors[i].shape)}], its parameter "
                        + $"[{string.Join(", ", Parameters[i].Shape)}].",
                    name
                );
    }
}
