using System.Globalization;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Checkpoints;

/// <summary>
/// A Hugging Face model directory: its configuration and the memory-mapped weight files. Opening checks every name and shape; weights are
/// read when asked for.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    private readonly WeightFiles _files;

    private Checkpoint(WeightFiles files, ModelConfig config) => (_files, Config) = (files, config);

    /// <summary>The model directory, as a full path.</summary>
    public string Directory => _files.Directory;

    /// <summary>The architecture.</summary>
    public ModelConfig Config { get; }

    /// <summary>The weight files in the order of their names.</summary>
    public IReadOnlyList<string> WeightFiles => [.. _files.Files.Select(file => file.Path)];

    /// <summary>Every tensor of the files with its dtype and shape.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries => [.. _files.Files.SelectMany(file => file.Entries)];

    /// <summary>Number of weights.</summary>
    public long ParameterCount => Entries.Sum(entry => entry.Shape.Aggregate(1L, (product, size) => product * size));

    /// <summary>Bytes that the weights take in a dtype; those that are needed up to a layer, or all.</summary>
    public long NeededBytes(ScalarType dtype, int? throughLayer) => WeightNames.Expected(Config)
        .Where(item => throughLayer is not { } last || IsNeeded(item.Name, last))
        .Sum(item => item.Shape.Aggregate(1L, (product, size) => product * size)) * TensorBytes.ElementSize(dtype);

    /// <summary>The stored dtype of a tensor, such as <c>BF16</c>.</summary>
    public string StoredDType(string name) => _files.Locate(name).Entry.DType;

    /// <summary>The file and the entry of a tensor.</summary>
    internal (SafetensorsFile File, SafetensorsEntry Entry) Locate(string name) => _files.Locate(name);

    /// <summary>Opens a model directory and compares names and shapes with its configuration, both ways.</summary>
    /// <exception cref="UserInputException">A directory or file is missing.</exception>
    /// <exception cref="UnsupportedCheckpointException">
    /// A file is damaged, the format is another, or tensors are missing, unexpected or misshapen (all are listed).
    /// </exception>
    public static Checkpoint Open(string directory)
    {
        var config = ModelConfig.Load(directory);
        var files = Checkpoints.WeightFiles.Open(directory);
        var checkpoint = new Checkpoint(files, config with { Architecture = NamedAsIn(files, config.Architecture) });
        try
        {
            checkpoint.Compare();
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    // Some families' files begin their names in more than one way.
    private static ArchitectureDescription NamedAsIn(WeightFiles files, ArchitectureDescription names) =>
        names
            .OtherBases.Select(other => names with { Base = other })
            .Prepend(names)
            .FirstOrDefault(named => files.TryLocate(named.EmbeddingWeight, out _))
        ?? names;

    private void Compare()
    {
        var expected = WeightNames.Expected(Config).ToDictionary(item => item.Name, item => item.Shape);
        List<string> faults = [];
        foreach (var (name, shape) in expected)
        {
            if (!_files.TryLocate(name, out var found))
                faults.Add($"missing {name}");
            else if (!found.Entry.Shape.SequenceEqual(shape))
                faults.Add($"{name} has shape {Text(found.Entry.Shape)}, config.json asks for {Text(shape)}");
            else if (found.Entry.DType is not ("F32" or "BF16" or "F16"))
                faults.Add($"{name} has dtype {found.Entry.DType}, supported are F32, BF16 and F16");
        }

        foreach (var name in _files.Names.Where(name => !expected.ContainsKey(name) && !Config.Architecture.Allows(name)))
            faults.Add($"unexpected {name}");
        if (faults.Count == 0)
            return;
        var shown =
            string.Join("; ", faults.Take(6))
            + (faults.Count > 6 ? string.Create(CultureInfo.InvariantCulture, $"; and {faults.Count - 6} more") : "");
        throw new UnsupportedCheckpointException(
            $"{Directory}: the weights do not fit config.json: {shown}. Use the config.json and the weights of one and the same checkpoint."
        );
    }

    private static string Text(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";

    /// <summary>
    /// Reads weights into memory in one dtype: everything, or only what a pass up to a layer needs. The caller owns them, whatever scope is
    /// open.
    /// </summary>
    /// <param name="dtype">Compute dtype.</param>
    /// <param name="device">Where the weights go.</param>
    /// <param name="throughLayer">The highest layer that is needed; null for the whole model with final norm and head.</param>
    public Weights LoadWeights(ScalarType dtype, Device device, int? throughLayer = null)
    {
        var loaded = new Dictionary<string, Tensor>();
        foreach (var (name, _) in WeightNames.Expected(Config))
        {
            if (throughLayer is { } last && !IsNeeded(name, last)) continue;
            loaded.Add(name, Load(name, dtype, device));
        }

        return new Weights(loaded);
    }

    /// <summary>
    /// The weights read layer by layer, when they are asked for; nothing is read yet. The caller owns them; the checkpoint must stay open.
    /// </summary>
    /// <param name="dtype">Compute dtype.</param>
    /// <param name="device">Where the layers compute.</param>
    public StreamedWeights StreamWeights(ScalarType dtype, Device device) => new(Config, name => Load(name, dtype, device), dtype, device);

    /// <summary>One tensor in a dtype on a device; the caller owns it, whatever scope is open.</summary>
    /// <exception cref="NumericalFailureException">It holds a NaN or an infinity, as stored or in the asked dtype.</exception>
    public Tensor Load(string name, ScalarType dtype, Device device)
    {
        var (file, entry) = _files.Locate(name);
        using var scope = NewDisposeScope();
        var loaded = TensorBytes.ToTensor(file, entry).to(dtype, device);
        // A sum shows any value that is not finite in one pass without a copy; only where it could have overflowed by itself are the values
        // counted.
        if (!double.IsFinite(loaded.sum(float32).item<float>()) && loaded.isfinite().logical_not().sum().item<long>() is > 0 and var bad)
            throw new NumericalFailureException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{file.Path}: the tensor \"{name}\" holds {bad} of {loaded.numel()} values that are not finite in {dtype}. The "
                        + $"checkpoint is damaged, or needs --dtype float32; get an intact copy."
                )
            );
        return loaded.DetachFromDisposeScope();
    }

    /// <summary>One tensor in its stored dtype on the CPU; the caller's scope owns it.</summary>
    public Tensor LoadStored(string name)
    {
        var (file, entry) = _files.Locate(name);
        return TensorBytes.ToTensor(file, entry);
    }

    /// <summary>Checks that all stored values are finite, except tensors that were loaded and so have been checked.</summary>
    /// <exception cref="NumericalFailureException">A tensor holds a NaN or an infinity.</exception>
    internal void RequireFiniteBeyond(Weights? loaded, CancellationToken cancellation)
    {
        foreach (
            var name in WeightNames
                .Expected(Config)
                .Select(item => item.Name)
                .Where(name => loaded is null || !loaded.Tensors.ContainsKey(name))
        )
        {
            cancellation.ThrowIfCancellationRequested();
            Load(name, StoredDType(name) switch { "BF16" => bfloat16, "F16" => float16, _ => float32 }, CPU).Dispose();
        }
    }

    /// <summary>Checks that token ids are rows of the embedding.</summary>
    /// <exception cref="UserInputException">One is not: the tokenizer is of another model.</exception>
    public void RequireKnown(IEnumerable<int> tokens)
    {
        foreach (var id in tokens)
            if (id < 0 || id >= Config.VocabularySize)
                throw new UserInputException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{Directory}: the tokenizer gives id {id}, but vocab_size in config.json is {Config.VocabularySize}. Use the "
                            + $"tokenizer files of the same model."
                    )
                );
    }

    /// <summary>The whole model in memory.</summary>
    public static (Weights Weights, CausalLM Model) LoadModel(string directory, ScalarType dtype, Device device)
    {
        using var checkpoint = Open(directory);
        var weights = checkpoint.LoadWeights(dtype, device);
        return (weights, new CausalLM(checkpoint.Config, weights));
    }

    private static bool IsNeeded(string name, int last) => WeightNames.LayerOf(name) <= last;

    /// <summary>Unmaps the files.</summary>
    public void Dispose() => _files.Dispose();
}
