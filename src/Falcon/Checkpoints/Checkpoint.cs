using System.Globalization;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;
using Falcon.Runtime.Machine;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Checkpoints;

/// <summary>
/// A Hugging Face model directory: its configuration and its memory-mapped weight files. Opening it checks all names and shapes; weights
/// are read on demand.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    private readonly WeightFiles _files;

    private Checkpoint(WeightFiles files, ModelConfig config) => (_files, Config) = (files, config);

    /// <summary>The model directory, as a full path.</summary>
    public string Directory => _files.Directory;

    /// <summary>The architecture.</summary>
    public ModelConfig Config { get; }

    /// <summary>The paths of the weight files, ordered by name.</summary>
    public IReadOnlyList<string> WeightFiles => [.. _files.Files.Select(file => file.Path)];

    /// <summary>All stored tensors with dtype and shape.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries => [.. _files.Files.SelectMany(file => file.Entries)];

    /// <summary>
    /// What a reader should know about how the files were understood, one sentence each: files that are not read, values that config.json
    /// leaves to the family. Empty for most checkpoints.
    /// </summary>
    public IReadOnlyList<string> Notes => [.. _files.Notes, .. HeadNotes()];

    /// <summary>Number of stored weights.</summary>
    public long ParameterCount => Entries.Sum(entry => entry.Shape.Aggregate(1L, (product, size) => product * size));

    /// <summary>The number types in which the weights are stored.</summary>
    public StoredWeights Stored
    {
        get
        {
            long Of(string dtype) =>
                Entries.Where(entry => entry.DType == dtype).Sum(entry => entry.Shape.Aggregate(1L, (product, size) => product * size));
            var (bfloat16, float16) = (Of("BF16"), Of("F16"));
            return new StoredWeights(ParameterCount - bfloat16 - float16, bfloat16, float16);
        }
    }

    /// <summary>Bytes that the weights take in memory.</summary>
    /// <param name="dtype">Compute dtype.</param>
    /// <param name="throughLayer">The highest layer that is needed; null for the whole model.</param>
    public long NeededBytes(ScalarType dtype, int? throughLayer) =>
        TensorBytes.ElementSize(dtype)
        * WeightNames
            .Expected(Config)
            .Where(item => throughLayer is not { } last || IsNeeded(item.Name, last))
            .Sum(item => item.Shape.Aggregate(1L, (product, size) => product * size));

    /// <summary>The stored dtype of a tensor, such as <c>BF16</c>.</summary>
    public string StoredDType(string name) => _files.Locate(name).Entry.DType;

    /// <summary>The file and the header entry of a tensor.</summary>
    internal (SafetensorsFile File, SafetensorsEntry Entry) Locate(string name) => _files.Locate(name);

    private IEnumerable<string> HeadNotes()
    {
        if (Config is { TiedEmbeddings: true, DeclaresTiedEmbeddings: false })
            yield return $"{Path.Combine(Directory, "config.json")}: the output head is the embedding ({StoredHeads.Said(Config)})";
    }

    /// <summary>Writes the notes of a checkpoint, and those of its tokenizer, into a log.</summary>
    /// <param name="log">Receives them as warnings.</param>
    /// <param name="tokenizer">The tokenizer; null for none.</param>
    public void TellNotes(IRunLog log, HfTokenizer? tokenizer)
    {
        ArgumentNullException.ThrowIfNull(log);
        foreach (var note in Notes.Concat(tokenizer?.Notes ?? [])) log.Warning(note);
    }

    /// <summary>The names of stored matrices that must stay equal to another tensor: copies of a tied embedding.</summary>
    internal IReadOnlyList<string> CopiesOf(string name) =>
        name == StoredHeads.Used(Config) ? StoredHeads.CopiesIn(_files, Config) : [];

    /// <summary>Opens a model directory and compares the stored names and shapes with its configuration, in both directions.</summary>
    /// <exception cref="UserInputException">A directory or file is missing.</exception>
    /// <exception cref="UnsupportedCheckpointException">
    /// A file is damaged or of another format, or tensors are missing, unexpected or misshapen; the message lists them.
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

    // The files of some families use one of several prefixes, and one of several names for the head.
    private static ArchitectureDescription NamedAsIn(WeightFiles files, ArchitectureDescription names)
    {
        var found = names.OtherBases
            .Select(other => names with { Base = other })
            .Prepend(names)
            .FirstOrDefault(named => files.TryLocate(named.EmbeddingWeight, out _))
            ?? names;
        return found.OtherHeads
            .Select(other => found with { OutputHead = other, OtherHeads = [found.OutputHead, .. found.OtherHeads.Where(h => h != other)] })
            .Prepend(found)
            .FirstOrDefault(named => files.TryLocate(named.HeadWeight, out _))
            ?? found;
    }

    private void Compare()
    {
        WeightComparison.Require(_files, Config);
        StoredHeads.RequireCopies(_files, Config);
    }

    /// <summary>
    /// Reads weights into memory, all of them or only those that a pass up to a layer needs. The caller owns them, whatever dispose scope
    /// is open.
    /// </summary>
    /// <param name="dtype">Compute dtype.</param>
    /// <param name="device">Where the weights go.</param>
    /// <param name="throughLayer">The highest layer that is needed; null for the whole model with final norm and output head.</param>
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

    /// <summary>Reads one tensor; the caller owns it, whatever dispose scope is open.</summary>
    /// <exception cref="NumericalFailureException">It holds a NaN or an infinity, as stored or after conversion to the dtype.</exception>
    public Tensor Load(string name, ScalarType dtype, Device device)
    {
        var (file, entry) = _files.Locate(name);
        using var scope = NewDisposeScope();
        var loaded = TensorBytes.ToTensor(file, entry).to(dtype, device);
        // The sum reveals any non-finite value in one pass without a copy. It may also overflow by itself, so the values are then counted.
        if (!double.IsFinite(loaded.sum(float32).item<float>()) && loaded.isfinite().logical_not().sum().item<long>() is > 0 and var bad)
            throw new NumericalFailureException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{file.Path}: {bad} of {loaded.numel()} values of the tensor \"{name}\" are not finite in {dtype}. "
                )
                    + "The checkpoint is damaged, or needs --dtype float32; get an intact copy."
            );
        return loaded.DetachFromDisposeScope();
    }

    /// <summary>Reads one tensor in its stored dtype on the CPU; the caller's dispose scope owns it.</summary>
    public Tensor LoadStored(string name)
    {
        var (file, entry) = _files.Locate(name);
        return TensorBytes.ToTensor(file, entry);
    }

    /// <summary>Checks that all stored values are finite; tensors that are already loaded have been checked and are skipped.</summary>
    /// <exception cref="NumericalFailureException">A tensor holds a NaN or an infinity.</exception>
    internal void RequireFiniteBeyond(Weights? loaded, CancellationToken cancellation)
    {
        foreach (var (name, _) in WeightNames.Expected(Config))
        {
            if (loaded is not null && loaded.Tensors.ContainsKey(name)) continue;
            cancellation.ThrowIfCancellationRequested();
            Load(name, StoredDType(name) switch { "BF16" => bfloat16, "F16" => float16, _ => float32 }, CPU).Dispose();
        }
    }

    /// <summary>Checks that token ids are rows of the embedding.</summary>
    /// <exception cref="UserInputException">An id is not: the tokenizer belongs to another model.</exception>
    public void RequireKnown(IEnumerable<int> tokens)
    {
        foreach (var id in tokens.Where(id => id < 0 || id >= Config.VocabularySize))
            throw new UserInputException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{Directory}: the tokenizer gives id {id}, but vocab_size in config.json is {Config.VocabularySize}. "
                )
                    + "Use the tokenizer files of the same model."
            );
    }

    /// <summary>Reads a whole model into memory; the caller owns the weights.</summary>
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
