using System.Globalization;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Engine;

/// <summary>
/// The parameters that a run trains, a few matrices or the whole model: float32 masters that the optimiser changes, and leaves in the
/// compute dtype that the passes use. The frozen model's own tensors stay as they are. Owns masters and leaves.
/// </summary>
public sealed class TrainedParameters : IDisposable
{
    /// <summary>The component name that stands for every tensor of the model.</summary>
    public const string WholeModel = "model";

    private readonly BlockTensor[] _masters;
    private readonly Tensor[] _leaves;

    /// <summary>Copies weights of a model to float32 masters in memory.</summary>
    /// <param name="model">The model; only borrowed. Its dtype is the one that the passes compute in.</param>
    /// <param name="names">Full tensor names.</param>
    public TrainedParameters(CausalLM model, IReadOnlyList<string> names)
        : this(names, name => model.Weight(name).alias(), model.DType, model.Device) { }

    /// <summary>Copies weights to float32 masters in memory or in a scratch file, and to leaves in the compute dtype.</summary>
    /// <param name="names">Full tensor names.</param>
    /// <param name="read">Gives a weight as it is stored (not rounded to the compute dtype), in the caller's scope.</param>
    /// <param name="dtype">The dtype that the passes compute in.</param>
    /// <param name="device">Where the leaves lie.</param>
    /// <param name="file">Where the masters lie; null for memory.</param>
    public TrainedParameters(
        IReadOnlyList<string> names,
        Func<string, Tensor> read,
        ScalarType dtype,
        Device device,
        ScratchFile? file = null
    )
    {
        Names = names;
        _masters = new BlockTensor[names.Count];
        _leaves = new Tensor[names.Count];
        for (var i = 0; i < names.Count; i++)
        {
            using var scope = NewDisposeScope();
            var weight = read(names[i]).detach();
            _leaves[i] = weight.to(dtype, device, copy: true).requires_grad_(true).DetachFromDisposeScope();
            // In float32 the leaf is the master: no second copy.
            _masters[i] = file is null && dtype == float32 ? BlockTensor.Borrow(_leaves[i]) : BlockTensor.CopyOf(weight.to(device), file);
        }
    }

    /// <summary>Full tensor names, lowest layer first.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The masters in the order of the names, float32: what the optimiser changes and what is saved; borrowed.</summary>
    public IReadOnlyList<BlockTensor> Masters => _masters;

    /// <summary>
    /// The masters in the compute dtype, in the order of the names: what the updated model runs with and what gradients are asked for;
    /// borrowed.
    /// </summary>
    public IReadOnlyList<Tensor> Leaves => _leaves;

    /// <summary>Number of trained parameters.</summary>
    public long Count => _masters.Sum(master => master.Length);

    /// <summary>The lowest layer that holds a trained matrix; -1 when the embedding is trained.</summary>
    public int LowestLayer => Names.Min(LayerOf);

    /// <summary>Where the trained matrices lie, for the log, such as <c>layers 2 to 4</c>.</summary>
    public string Place
    {
        get
        {
            var layers = Names.Select(LayerOf).Where(layer => layer is not (WeightNames.BelowLayers or WeightNames.AboveLayers)).ToList();
            var embedding = Names.Any(WeightNames.IsEmbedding)
                ? Names.Any(WeightNames.IsHead)
                    ? "embedding, head and "
                    : "embedding and "
                : "";
            return string.Create(CultureInfo.InvariantCulture, $"{embedding}layers {layers.Min()} to {layers.Max()}");
        }
    }

    /// <summary>
    /// Whether the lowest layer trains nothing but its down projection, so that all before that matrix is shared with the frozen model.
    /// </summary>
    public bool StartsAtDownProjection => AreDownProjectionsAt(Names, LowestLayer);

    /// <summary>Whether nothing but its down projection is named of a layer.</summary>
    internal static bool AreDownProjectionsAt(IReadOnlyList<string> names, int layer) =>
        names.Where(name => LayerOf(name) == layer).All(WeightNames.IsDownProjection);

    /// <summary>The names of the matrices of a number of layers up to the target.</summary>
    /// <param name="model">The model, for its layers and names.</param>
    /// <param name="target">The highest trained layer.</param>
    /// <param name="layers">How many layers; fewer when the target is too low.</param>
    /// <param name="above">How many layers above the target besides; fewer where the model ends.</param>
    /// <param name="components">
    /// Names within a layer, such as <c>mlp.down_proj</c>, which in every family means the matrix that writes the MLP's output into the
    /// residual stream; <c>all</c> means every matrix of a layer; <c>model</c> alone means every tensor of the whole model, tied embeddings
    /// once.
    /// </param>
    /// <param name="embedding">Whether the embedding of tokens, and the head where it has a matrix of its own, are among them.</param>
    /// <exception cref="UserInputException">The model has no such layer or matrix.</exception>
    public static IReadOnlyList<string> Select(
        ModelConfig model,
        int target,
        int layers,
        IReadOnlyList<string> components,
        int above = 0,
        bool embedding = false
    )
    {
        if (components is [WholeModel])
            return [.. WeightNames.Expected(model).Select(item => item.Name)];
        if (target < 0 || target >= model.LayerCount)
            throw new UserInputException(
                $"layers.target is {target}, but the model has layers 0 to {model.LayerCount - 1}; give one of them or choose by --layer "
                    + $"auto."
            );
        var known = model.Architecture.Matrices;
        var wanted = components.SelectMany(component => component == "all" ? known : [Matrix(model.Architecture, component)]).ToHashSet();
        var inLayers = Enumerable
            .Range(target - layers + 1, layers + above)
            .Where(layer => layer >= 0 && layer < model.LayerCount)
            .SelectMany(layer =>
                known.Where(wanted.Contains).Select(component => model.Architecture.InLayer(layer, component + ".weight"))
            );
        if (!embedding)
            return [.. inLayers];
        string[] head = model.TiedEmbeddings ? [] : [model.Architecture.HeadWeight];
        return [model.Architecture.EmbeddingWeight, .. inLayers, .. head];
    }

    // Every family's matrices go by their own names, with or without what stands before the last dot; the two that write to the residual
    // stream go by Llama's names as well.
    private static string Matrix(ArchitectureDescription names, string component)
    {
        var name = component.EndsWith(".weight", StringComparison.Ordinal) ? component[..^7] : component;
        var known = names.Matrices;
        if (known.Contains(name)) return name;
        if (name is "mlp.down_proj" or "down_proj") return names.MlpOutput;
        if (name is "self_attn.o_proj" or "o_proj") return names.AttentionOutput;
        var matches = known.Where(matrix => matrix.EndsWith("." + name, StringComparison.Ordinal)).ToList();
        if (matches.Count == 1)
            return matches[0];
        throw new UserInputException(
            $"layers.parameters: \"{name}\" is {(matches.Count == 0 ? "no matrix" : "more than one matrix")} of a layer. Use model alone, "
                + $"all, or some of {string.Join(", ", known)}."
        );
    }

    /// <summary>The model with the leaves in place of its own weights, so that gradients flow to them.</summary>
    public CausalLM Updated(CausalLM frozen) => frozen.With(Enumerable.Range(0, Names.Count).ToDictionary(i => Names[i], i => _leaves[i]));

    /// <summary>The masters by name, for saving; borrowed.</summary>
    public IReadOnlyDictionary<string, BlockTensor> ByName =>
        Enumerable.Range(0, Names.Count).ToDictionary(i => Names[i], i => _masters[i]);

    /// <summary>Brings a leaf up to date with changed elements of its master.</summary>
    /// <param name="index">Which parameter.</param>
    /// <param name="start">First changed element.</param>
    /// <param name="values">The new values [n], float32.</param>
    public void Refresh(int index, long start, Tensor values)
    {
        if (ReferenceEquals(_masters[index].InMemory, _leaves[index])) return;
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        _leaves[index].detach().view(-1).narrow(0, start, values.numel()).copy_(values);
    }

    /// <summary>Sets a master and its leaf, for a resumed run.</summary>
    public void Load(string name, Tensor value) => Load(Enumerable.Range(0, Names.Count).First(i => Names[i] == name), value);

    /// <summary>Sets a master and its leaf.</summary>
    /// <param name="index">Which parameter.</param>
    /// <param name="value">New values of the parameter's shape; borrowed.</param>
    public void Load(int index, Tensor value)
    {
        using var scope = NewDisposeScope();
        _masters[index].Fill(value);
        Refresh(index, 0, value.detach().to(float32).reshape(-1));
    }

    /// <summary>
    /// Replaces a share of every matrix by noise of the same size, (1 - s) W + s rms(W) N(0, 1). Norms and biases stay as they are. A seed
    /// gives the same numbers on every device and for any choice of matrices.
    /// </summary>
    /// <param name="share">s, 0 to 1; 0 changes nothing.</param>
    /// <param name="seed">The run's seed.</param>
    public void MixWithNoise(double share, ulong seed)
    {
        if (share == 0) return;
        using var guard = no_grad();
        for (var i = 0; i < Names.Count; i++)
        {
            if (_leaves[i].dim() < 2) continue;
            using var scope = NewDisposeScope();
            using var generator = new Generator(Seeds.Derive(seed, $"start noise {Names[i]}"), CPU);
            var master = _masters[i];
            double squares = 0;
            foreach (var (start, count) in master.Blocks())
            {
                using var inner = NewDisposeScope();
                squares += master.Read(start, count).square().sum().item<float>();
            }

            var size = share * Math.Sqrt(squares / master.Length);
            foreach (var (start, count) in master.Blocks())
            {
                using var inner = NewDisposeScope();
                var mixed = master.Read(start, count); // a view where the values lie in memory, so changed in place
                mixed.mul_(1 - share).add_(randn(count, dtype: float32, generator: generator).to(mixed.device), alpha: size);
                master.Write(start, mixed);
                Refresh(i, start, mixed);
            }
        }
    }

    /// <summary>
    /// A parameter as a checkpoint will store it, in the compute dtype: the master rounded to the stored dtype. The caller's scope owns it.
    /// </summary>
    /// <param name="index">Which parameter.</param>
    /// <param name="stored">The stored dtype.</param>
    public Tensor Rounded(int index, ScalarType stored)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var rounded = empty_like(_leaves[index]).detach();
        foreach (var (start, count) in _masters[index].Blocks())
        {
            using var inner = NewDisposeScope();
            rounded.view(-1).narrow(0, start, count).copy_(_masters[index].Read(start, count).to(stored));
        }

        return rounded.MoveToOuterDisposeScope();
    }

    /// <summary>The layer of a tensor; the embedding lies below all layers, final norm and head above them.</summary>
    internal static int LayerOf(string name) => WeightNames.LayerOf(name);

    /// <summary>Releases masters and leaves.</summary>
    public void Dispose()
    {
        foreach (var master in _masters) master.Dispose();
        foreach (var leaf in _leaves) leaf.Dispose();
    }
}
