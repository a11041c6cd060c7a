using Falcon.Configuration;
using Falcon.Models;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods;

/// <summary>
/// The parameters that a run trains, a few matrices or the whole model: float32 master copies beside the frozen model, whose own tensors stay as they are. Owns the copies.
/// </summary>
public sealed class TrainedParameters : IDisposable
{
    private readonly Tensor[] _masters;

    /// <summary>Copies weights of a model to float32 masters that ask for a gradient.</summary>
    /// <param name="model">The model; only borrowed.</param>
    /// <param name="names">Full tensor names.</param>
    public TrainedParameters(CausalLM model, IReadOnlyList<string> names)
    {
        Names = names;
        using var scope = NewDisposeScope();
        _masters = [.. names.Select(name => model.Weight(name).detach().to(float32, true).requires_grad_(true).DetachFromDisposeScope())];
    }

    /// <summary>Full tensor names, lowest layer first.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The masters in the order of the names, float32; borrowed.</summary>
    public IReadOnlyList<Tensor> Masters => _masters;

    /// <summary>The lowest layer that holds a trained matrix; -1 when the embedding is trained.</summary>
    public int LowestLayer => Names.Min(LayerOf);

    /// <summary>Whether the lowest layer trains nothing but its down projection, so that all before that matrix is shared with the frozen model.</summary>
    public bool StartsAtDownProjection => Names.Where(name => LayerOf(name) == LowestLayer).All(name => name.EndsWith(".mlp.down_proj.weight", StringComparison.Ordinal));

    /// <summary>The names of the matrices of a number of layers up to the target.</summary>
    /// <param name="model">The model, for its layers and names.</param>
    /// <param name="target">The highest trained layer.</param>
    /// <param name="layers">How many layers; fewer when the target is too low.</param>
    /// <param name="components">Names within a layer, such as <c>mlp.down_proj</c>; <c>all</c> means the seven matrices; <c>model</c> alone means every tensor of the whole model, tied embeddings once.</param>
    /// <exception cref="UserInputException">The model has no such layer or matrix.</exception>
    public static IReadOnlyList<string> Select(ModelConfig model, int target, int layers, IReadOnlyList<string> components)
    {
        if (components is [LayerConfig.WholeModel]) return [.. WeightNames.Expected(model).Select(item => item.Name)];
        if (target < 0 || target >= model.LayerCount) throw new UserInputException($"layers.target is {target}, but the model has layers 0 to {model.LayerCount - 1}; give one of them or choose by --layer auto.");
        var known = WeightNames.Matrices;
        var wanted = components.SelectMany(component => component == "all" ? known : [component.EndsWith(".weight", StringComparison.Ordinal) ? component : component + ".weight"]).Distinct().ToList();
        foreach (var component in wanted.Where(component => !known.Contains(component)))
            throw new UserInputException($"layers.parameters: \"{component[..^7]}\" is no matrix of a layer. Use model alone, all, or some of {string.Join(", ", known.Select(name => name[..^7]))}.");
        return [.. Enumerable.Range(0, layers).Select(i => target - i).Where(layer => layer >= 0).Order()
            .SelectMany(layer => known.Where(wanted.Contains).Select(component => WeightNames.InLayer(layer, component)))];
    }

    /// <summary>The model with the trained matrices in place; gradients flow to the masters. The casts belong to the caller's scope.</summary>
    public CausalLM Updated(CausalLM frozen) =>
        frozen.With(Enumerable.Range(0, Names.Count).ToDictionary(i => Names[i], i => _masters[i].dtype == frozen.DType ? _masters[i] : _masters[i].to(frozen.DType)));

    /// <summary>The masters by name, for saving; borrowed.</summary>
    public IReadOnlyDictionary<string, Tensor> ByName => Enumerable.Range(0, Names.Count).ToDictionary(i => Names[i], i => _masters[i]);

    /// <summary>Sets a master's value, for a resumed run.</summary>
    public void Load(string name, Tensor value)
    {
        using var noGrad = no_grad();
        var index = Enumerable.Range(0, Names.Count).First(i => Names[i] == name);
        _masters[index].copy_(value); // gives back the master itself, which stays
    }

    /// <summary>The layer of a tensor; the embedding lies below all layers, final norm and head above them.</summary>
    internal static int LayerOf(string name)
    {
        if (name == WeightNames.Embedding) return -1;
        if (name is WeightNames.FinalNorm or WeightNames.Head) return int.MaxValue;
        var parts = name.Split('.');
        return int.Parse(parts[2], System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>Releases the masters.</summary>
    public void Dispose()
    {
        foreach (var master in _masters) master.Dispose();
    }
}
