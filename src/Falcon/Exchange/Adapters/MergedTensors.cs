using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Exchange.Adapters;

/// <summary>The tensors of a merged model, file by file in the order of the base's files.</summary>
internal sealed class MergedTensors
{
    private readonly Checkpoint _model;
    private readonly PeftAdapter _adapter;
    private readonly Dictionary<string, List<MergedTensor>> _byFile = [];
    private readonly Dictionary<string, IReadOnlyDictionary<string, string>> _metadata = [];

    public MergedTensors(Checkpoint model, PeftAdapter adapter)
    {
        (_model, _adapter) = (model, adapter);
        foreach (var entry in model.Entries)
        {
            var (file, _) = model.Locate(entry.Name);
            if (!_byFile.TryGetValue(file.Path, out var list))
                _byFile[file.Path] = list = [];
            _metadata[file.Path] = file.Metadata;
            list.Add(new MergedTensor(entry.Name, file, entry, ChangeOf(entry.Name)));
        }

        var names = model.Config.Architecture;
        if (adapter.Unties && !model.Entries.Any(entry => entry.Name == names.HeadWeight))
        {
            var (file, entry) = model.Locate(names.EmbeddingWeight);
            _byFile[file.Path].Add(new MergedTensor(names.HeadWeight, file, entry, adapter.Changes[names.HeadWeight]));
        }
    }

    /// <summary>Number of tensors.</summary>
    public int Count => _byFile.Values.Sum(list => list.Count);

    /// <summary>The tensors of a file.</summary>
    public IReadOnlyList<MergedTensor> Of(string path) => _byFile.GetValueOrDefault(path) ?? [];

    /// <summary>The text metadata of a file.</summary>
    public IReadOnlyDictionary<string, string>? MetadataOf(string path) => _metadata.GetValueOrDefault(path);

    // A file may hold a copy of a tied embedding as its head; the copy follows it.
    private TensorChange? ChangeOf(string name)
    {
        if (_adapter.Changes.GetValueOrDefault(name) is { } own)
            return own;
        var names = _model.Config.Architecture;
        var isTiedCopy = _model.Config.TiedEmbeddings && !_adapter.Unties && WeightNames.IsHead(name);
        return isTiedCopy ? _adapter.Changes.GetValueOrDefault(names.EmbeddingWeight) : null;
    }
}

/// <summary>One tensor of a merged model.</summary>
/// <param name="Name">Its name.</param>
/// <param name="File">The file of the base's tensor that it begins with.</param>
/// <param name="Entry">That tensor.</param>
/// <param name="Change">What the adapter does to it; null for nothing.</param>
internal sealed record MergedTensor(string Name, SafetensorsFile File, SafetensorsEntry Entry, TensorChange? Change)
{
    /// <summary>Whether the adapter changes it.</summary>
    public bool IsChanged => Change is not null;

    /// <summary>The number type of the base's tensor.</summary>
    public string StoredType => Entry.DType;

    /// <summary>Its dimensions.</summary>
    public long[] Shape => Entry.Shape;

    /// <summary>Writes its bytes in a number type.</summary>
    /// <exception cref="NumericalFailureException">A value is not finite in that type.</exception>
    public void Write(string type, Stream stream)
    {
        if (Change is null && type == Entry.DType)
        {
            File.CopyTo(Entry, stream);
            return;
        }

        using var scope = NewDisposeScope();
        Tensor Stored() => TensorBytes.ToTensor(File, Entry);
        var values = (Change is null ? Stored() : Change.Values(Stored)).to(TensorBytes.TypeOf(type));
        if (!values.isfinite().all().item<bool>())
            throw new NumericalFailureException(
                $"\"{Name}\" holds a value that is not finite in {type} after merging; nothing was written. Get intact copies of model and "
                    + "adapter, or another --dtype."
            );
        TensorBytes.Write(values, stream);
    }
}
