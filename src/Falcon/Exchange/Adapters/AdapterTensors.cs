using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Exchange.Adapters;

/// <summary>
/// The tensors of an adapter's weight file, by the names behind PEFT's prefix. Each must be taken once, or the file is refused.
/// </summary>
internal sealed class AdapterTensors : IDisposable
{
    private const string Prefix = "base_model.model.";

    private readonly SafetensorsFile _file;
    private readonly Dictionary<string, SafetensorsEntry> _byName = [];
    private readonly HashSet<string> _taken = [];

    private AdapterTensors(SafetensorsFile file) => _file = file;

    /// <summary>The path of the file.</summary>
    public string Path => _file.Path;

    /// <summary>The names of all tensors, without the prefix.</summary>
    public IReadOnlyCollection<string> Names => _byName.Keys;

    /// <summary>Opens the weight file of an adapter.</summary>
    /// <param name="directory">The adapter's folder.</param>
    /// <exception cref="UserInputException">There is no such file, or only one in pickle format.</exception>
    /// <exception cref="UnsupportedCheckpointException">It is damaged, or a name is not PEFT's.</exception>
    public static AdapterTensors Open(string directory)
    {
        var path = System.IO.Path.Combine(directory, AdapterFiles.Weights);
        if (!File.Exists(path))
            throw new UserInputException(
                File.Exists(System.IO.Path.Combine(directory, "adapter_model.bin"))
                    ? $"{directory}: adapter_model.bin is in pickle format, which is not read, because loading it can run code. Save the "
                        + $"adapter again with a current PEFT, which writes {AdapterFiles.Weights}."
                    : $"{path}: not found. --adapter takes a folder as PEFT writes it "
                        + $"({AdapterFiles.Configuration}, {AdapterFiles.Weights})."
            );
        var tensors = new AdapterTensors(SafetensorsFile.Open(path));
        try
        {
            foreach (var entry in tensors._file.Entries)
            {
                if (!entry.Name.StartsWith(Prefix, StringComparison.Ordinal))
                    throw new UnsupportedCheckpointException(
                        $"{path}: the tensor \"{entry.Name}\" does not begin with \"{Prefix}\", so it is no adapter as PEFT writes it. "
                            + "Save it with save_pretrained."
                    );
                if (entry.DType is not ("F32" or "BF16" or "F16"))
                    throw new UnsupportedCheckpointException(
                        $"{path}: the tensor \"{entry.Name}\" has dtype {entry.DType}, supported are F32, BF16 and F16. "
                            + "Save the adapter in one of them."
                    );
                tensors._byName.Add(entry.Name[Prefix.Length..], entry);
            }

            return tensors;
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    /// <summary>Whether there is a tensor of this name.</summary>
    public bool Has(string name) => _byName.ContainsKey(name);

    /// <summary>Takes a tensor, which must be there and have the given shape.</summary>
    /// <exception cref="UnsupportedCheckpointException">It is missing or misshapen.</exception>
    public AdapterTensor Take(string name, params long[] shape)
    {
        if (!_byName.TryGetValue(name, out var entry))
            throw new UnsupportedCheckpointException(
                $"{Path}: the tensor \"{Prefix}{name}\" is missing, although {AdapterFiles.Configuration} asks for it. "
                    + "Copy the adapter again."
            );
        if (!entry.Shape.SequenceEqual(shape))
            throw new UnsupportedCheckpointException(
                $"{Path}: the tensor \"{Prefix}{name}\" has shape [{string.Join(", ", entry.Shape)}], the base model and "
                    + $"{AdapterFiles.Configuration} ask for [{string.Join(", ", shape)}]. "
                    + "Give the adapter with the model that it was trained "
                    + "on; one whose vocabulary was resized in training must be merged with PEFT."
            );
        _taken.Add(name);
        return new AdapterTensor(_file, entry);
    }

    /// <summary>Takes the tensor of one of several names; null where there is none.</summary>
    public AdapterTensor? TakeAny(IEnumerable<string> names, params long[] shape) =>
        names.FirstOrDefault(Has) is { } name ? Take(name, shape) : null;

    /// <summary>Refuses tensors that nothing took.</summary>
    /// <exception cref="UnsupportedCheckpointException">There are such; the message names the first.</exception>
    public void RequireAllTaken()
    {
        var left = _byName.Keys.Where(name => !_taken.Contains(name)).Order(StringComparer.Ordinal).ToList();
        if (left.Count == 0)
            return;
        throw new UnsupportedCheckpointException(
            $"{Path}: the tensor \"{Prefix}{left[0]}\"{(left.Count > 1 ? $" and {left.Count - 1} more have" : " has")} "
                + "no place in the base "
                + $"model as {AdapterFiles.Configuration} describes the adapter, "
                + "and would be left out. Give the adapter with the model that "
                + "it was trained on."
        );
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();
}

/// <summary>One tensor of an adapter, read when it is needed.</summary>
/// <param name="File">The file.</param>
/// <param name="Entry">Its place there.</param>
internal sealed record AdapterTensor(SafetensorsFile File, SafetensorsEntry Entry)
{
    /// <summary>Reads it as float32; the caller's dispose scope owns it.</summary>
    public Tensor Read()
    {
        using var scope = NewDisposeScope();
        return TensorBytes.ToTensor(File, Entry).to(float32).MoveToOuterDisposeScope();
    }

    /// <summary>Whether two tensors have the same bytes.</summary>
    public bool IsSameAs(AdapterTensor other)
    {
        if (Entry.DType != other.Entry.DType || Entry.ByteLength != other.Entry.ByteLength)
            return false;
        using var scope = NewDisposeScope();
        return Read().equal(other.Read()).all().item<bool>();
    }
}
