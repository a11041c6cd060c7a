using Falcon.Checkpoints;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Exchange.Adapters;

/// <summary>
/// A LoRA adapter in PEFT's layout, matched with its base model: what it does to each tensor of the weight files. Every tensor of the
/// adapter
/// has a place here, and everything that its configuration asks for is there; else opening it fails.
/// </summary>
internal sealed class PeftAdapter : IDisposable
{
    private readonly AdapterTensors _tensors;
    private readonly Checkpoint _base;
    private readonly Dictionary<string, TensorChange> _changes = [];

    private PeftAdapter(PeftConfig config, AdapterTensors tensors, Checkpoint model) =>
        (Configuration, _tensors, _base) = (config, tensors, model);

    /// <summary>adapter_config.json.</summary>
    public PeftConfig Configuration { get; }

    /// <summary>
    /// The changes by the name of the tensor in the base's files; a tied head that gets weights of its own is among them.
    /// </summary>
    public IReadOnlyDictionary<string, TensorChange> Changes => _changes;

    /// <summary>Number of tensors in the adapter.</summary>
    public int TensorCount => _tensors.Names.Count;

    /// <summary>Whether a tied head gets weights of its own, because the adapter changes only one of the two.</summary>
    public bool Unties { get; private set; }

    /// <summary>Things that change nothing and that somebody may have expected to.</summary>
    public IReadOnlyList<string> Notes { get; private set; } = [];

    /// <summary>Reads an adapter and finds the place of all it holds.</summary>
    /// <param name="directory">The adapter's folder.</param>
    /// <param name="model">The base model; borrowed.</param>
    /// <exception cref="UserInputException">A file is missing.</exception>
    /// <exception cref="UnsupportedCheckpointException">
    /// It is damaged, belongs to another model, or is of a kind that is not supported; the message names key, module or tensor.
    /// </exception>
    public static PeftAdapter Open(string directory, Checkpoint model)
    {
        if (!Directory.Exists(directory))
            throw new UserInputException($"{directory}: no such directory. --adapter takes a folder as PEFT writes it.");
        var config = PeftConfig.Read(Path.Combine(directory, AdapterFiles.Configuration));
        var adapter = new PeftAdapter(config, AdapterTensors.Open(directory), model);
        try
        {
            adapter.FindPlaces();
            return adapter;
        }
        catch
        {
            adapter.Dispose();
            throw;
        }
    }

    // Old adapters of a model with images use old names of its modules: the first form in which every tensor has a module.
    private BaseModules ModulesAsNamed()
    {
        var variants = BaseModules.Variants(_base).ToList();
        bool Holds(BaseModules modules, string tensor) =>
            modules.All.Any(module => tensor.StartsWith(module.Name + ".", StringComparison.Ordinal));
        return variants.FirstOrDefault(modules => _tensors.Names.All(name => Holds(modules, name))) ?? variants[0];
    }

    private void FindPlaces()
    {
        var modules = ModulesAsNamed();
        var targets = AdapterTargets.Find(Configuration, modules);
        Notes = targets.Unused;
        foreach (var target in targets.Lora)
            AddLora(target);
        AddTiedLora(modules, targets);
        foreach (var module in modules.All.Where(module => targets.IsSaved(module.Name)))
            AddReplacement(module);
        if (Configuration.Bias == "all")
            foreach (var module in modules.All.Where(module => module.HasBias && !targets.IsSaved(module.Name)))
                AddBias(module);
        AddResavedEmbeddings(modules);
        DecideTying(modules);
        _tensors.RequireAllTaken();
    }

    private void AddLora(LoraTarget target)
    {
        var (module, rank) = (target.Module, target.Rank);
        var stored = ShapeOf(module);
        var (outputs, inputs) = module.IsStoredTransposed ? (stored[1], stored[0]) : (stored[0], stored[1]);
        var isEmbedding = module.Kind == ModuleKind.Embedding;
        var change = new LowRankChange(
            target,
            _tensors.Take(module.Name + (isEmbedding ? ".lora_embedding_A" : ".lora_A.weight"), rank, inputs),
            _tensors.Take(module.Name + (isEmbedding ? ".lora_embedding_B" : ".lora_B.weight"), outputs, rank)
        )
        {
            Magnitude = Configuration.Dora
                ? _tensors.TakeAny([module.Name + ".lora_magnitude_vector.weight"], outputs)
                    ?? _tensors.Take(module.Name + ".lora_magnitude_vector", outputs)
                : null,
        };
        // PEFT saves a copy of an embedding or head beside its factors, and loads it into the base.
        Add(
            module.Weight,
            new TensorChange(module) { LowRank = change, Start = _tensors.TakeAny([module.Name + ".base_layer.weight"], stored) }
        );
        if (Configuration.LoraBias && !isEmbedding)
        {
            if (!module.HasBias)
                throw new UnsupportedCheckpointException(
                    $"{Configuration.Path}: lora_bias is true, and {module.Name} has no bias in the base model that it could be added to. "
                        + "Such an adapter cannot be merged, by PEFT neither."
                );
            var bias = _tensors.Take(module.Name + ".lora_B.bias", outputs);
            Add(module.Tensor + ".bias", new TensorChange(module) { Added = bias, AddedScale = target.Scale });
        }

        if (Configuration.Bias == "lora_only" && module.HasBias)
            AddBias(module);
    }

    // With ensure_weight_tying the head has the embedding's factors, transposed, without being a target itself, and the other way round.
    private void AddTiedLora(BaseModules modules, AdapterTargets targets)
    {
        if (!Configuration.EnsureTying || !_base.Config.TiedEmbeddings)
            return;
        var ends = modules.All.Where(module => module.IsHead || module.IsEmbedding).ToList();
        if (targets.Lora.SingleOrDefault(target => ends.Contains(target.Module)) is not { } named)
            return;
        var other = ends.Single(module => module != named.Module);
        if (_tensors.Has(other.Name + (other.IsHead ? ".lora_A.weight" : ".lora_embedding_A")))
            AddLora(named with { Module = other });
    }

    private void AddBias(BaseModule module)
    {
        var name = module.Tensor + ".bias";
        var shape = _base.Locate(name).Entry.Shape;
        var found = _tensors.TakeAny([module.Name + ".base_layer.bias"], shape) ?? _tensors.Take(module.Name + ".bias", shape);
        var before = _changes.GetValueOrDefault(name) ?? new TensorChange(module);
        _changes[name] = before with { Start = found };
    }

    private void AddReplacement(BaseModule module)
    {
        // A tied head of its own is decided with the embedding.
        if (module.IsHead && _base.Config.TiedEmbeddings && !_tensors.Has(module.Name + ".weight") && Configuration.EnsureTying)
            return;
        Add(module.Weight, new TensorChange(module) { Start = _tensors.Take(module.Name + ".weight", ShapeOf(module)) });
        if (!module.HasBias)
            return;
        var bias = module.Tensor + ".bias";
        Add(bias, new TensorChange(module) { Start = _tensors.Take(module.Name + ".bias", _base.Locate(bias).Entry.Shape) });
    }

    // Saved by save_embedding_layers, or by ensure_weight_tying for a head that modules_to_save does not name.
    private void AddResavedEmbeddings(BaseModules modules)
    {
        foreach (var module in modules.All.Where(module => (module.IsHead || module.IsEmbedding) && !_changes.ContainsKey(module.Weight)))
            if (_tensors.TakeAny([module.Name + ".weight"], ShapeOf(module)) is { } whole)
                Add(module.Weight, new TensorChange(module) { Start = whole });
    }

    private void DecideTying(BaseModules modules)
    {
        if (!_base.Config.TiedEmbeddings)
            return;
        var (head, embedding) = (modules.All.Single(module => module.IsHead), modules.All.Single(module => module.IsEmbedding));
        var (ofHead, ofEmbedding) = (_changes.GetValueOrDefault(head.Weight), _changes.GetValueOrDefault(embedding.Weight));
        if (ofHead is null && ofEmbedding is null)
            return;
        if (ofHead is null && Configuration.EnsureTying)
            return; // the head goes with the embedding
        if (ofEmbedding is null && Configuration.EnsureTying)
        {
            _changes.Remove(head.Weight);
            _changes[embedding.Weight] = ofHead!;
            return;
        }

        if (ofHead is not null && ofEmbedding is not null && AreSame(ofHead, ofEmbedding))
        {
            _changes.Remove(head.Weight);
            return;
        }

        Unties = true;
        // A copy of the base's weights beside the factors of one is what both begin with.
        if (ofHead is null)
            _changes[head.Weight] = new TensorChange(head) { Start = ofEmbedding!.LowRank is null ? null : ofEmbedding.Start };
        if (ofEmbedding is null && ofHead is { LowRank: not null, Start: { } start })
            _changes[embedding.Weight] = new TensorChange(embedding) { Start = start };
    }

    // Tied factors are saved twice, once as B A and once as (B A)^T.
    private static bool AreSame(TensorChange head, TensorChange embedding)
    {
        if (head.LowRank is null && embedding.LowRank is null)
            return head.Start is { } one && embedding.Start is { } other && one.IsSameAs(other);
        if (
            head.LowRank is null
            || embedding.LowRank is null
            || head.LowRank.Magnitude is not null
            || embedding.LowRank.Magnitude is not null
        )
            return false;
        using var scope = NewDisposeScope();
        return head.LowRank.Product().allclose(embedding.LowRank.Product().T, rtol: 1e-5, atol: 1e-7);
    }

    private void Add(string tensor, TensorChange change) => _changes.Add(tensor, change);

    private long[] ShapeOf(BaseModule module) => _base.Locate(StoredName(module)).Entry.Shape;

    /// <summary>The stored tensor that a module begins with: a tied head begins with the embedding.</summary>
    public string StoredName(BaseModule module) =>
        module.IsHead && _base.Config.TiedEmbeddings ? _base.Config.Architecture.EmbeddingWeight : module.Weight;

    /// <summary>Closes the adapter's file.</summary>
    public void Dispose() => _tensors.Dispose();
}
