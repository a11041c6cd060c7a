using System.Text.Json;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;

namespace Falcon.Exchange;

/// <summary>One tensor of the model that a patch changes.</summary>
/// <param name="Name">Its name in the weight files.</param>
/// <param name="DType">Its stored number type.</param>
/// <param name="Shape">Its dimensions.</param>
/// <param name="Base">SHA-256 of its bytes in the original model.</param>
/// <param name="Result">SHA-256 of its bytes in the changed model; equal to <paramref name="Base"/> for an unchanged tensor.</param>
public sealed record PatchedTensor(string Name, string DType, IReadOnlyList<long> Shape, string Base, string Result)
{
    /// <summary>Whether the patch changes it.</summary>
    public bool IsChanged => Base != Result;
}

/// <summary>
/// The change between two models with the same tensors, as a safetensors file. For every changed tensor it holds <c>base XOR result</c> of
/// the stored bits, as unsigned integers of the same width and shape, so that applying and reverting are exact to the bit. Its metadata
/// hold the SHA-256 of every tensor in both models and the settings of the run that made the change. Unchanged tensors are not stored.
/// </summary>
public sealed class PatchFile : IDisposable
{
    /// <summary>The value of the metadata key <c>format</c>.</summary>
    public const string Format = "falcon-patch";

    /// <summary>Version of the format; others are refused.</summary>
    public const string Version = "1";

    private readonly SafetensorsFile _file;
    private readonly Dictionary<string, PatchedTensor> _byName;

    private PatchFile(SafetensorsFile file, IReadOnlyList<PatchedTensor> tensors) =>
        (_file, Tensors, _byName) = (file, tensors, tensors.ToDictionary(tensor => tensor.Name));

    /// <summary>The path the file was opened with.</summary>
    public string Path => _file.Path;

    /// <summary>Every tensor of the model, in ordinal order of the names.</summary>
    public IReadOnlyList<PatchedTensor> Tensors { get; }

    /// <summary>The configuration of the unlearning run as JSON; null when the changed model was not in a run directory.</summary>
    public string? Run => _file.Metadata.GetValueOrDefault("run");

    /// <summary>The tensor of this name; null when there is none.</summary>
    internal PatchedTensor? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>The stored difference of a changed tensor.</summary>
    internal (SafetensorsFile File, SafetensorsEntry Entry) Difference(PatchedTensor tensor) =>
        _file.TryGetEntry(tensor.Name, out var entry) ? (_file, entry) : throw Damaged($"the difference of \"{tensor.Name}\" is missing");

    /// <summary>
    /// Opens a patch and checks that every changed tensor has a difference of the right size and that there is nothing else.
    /// </summary>
    /// <exception cref="UserInputException">There is no such file.</exception>
    /// <exception cref="UnsupportedCheckpointException">It is not a patch, of another version, or damaged.</exception>
    public static PatchFile Open(string path)
    {
        if (!File.Exists(path))
            throw new UserInputException($"{path}: there is no such file; --patch takes a file that patch create wrote.");
        var file = SafetensorsFile.Open(path);
        try
        {
            if (file.Metadata.GetValueOrDefault("format") != Format)
                throw new UnsupportedCheckpointException(
                    $"{path}: it is a safetensors file, but no patch (its metadata lacks format = {Format}). "
                        + "Give a file that patch create wrote."
                );
            if (file.Metadata.GetValueOrDefault("version") is var version && version != Version)
                throw new UnsupportedCheckpointException($"{path}: it is a patch of version {version}, and only {Version} is supported.");
            var patch = new PatchFile(file, ReadTensors(file));
            patch.CheckDifferences();
            return patch;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The metadata of a patch.</summary>
    internal static Dictionary<string, string> Metadata(IReadOnlyList<PatchedTensor> tensors, string? run)
    {
        Dictionary<string, string> metadata = new()
        {
            ["format"] = Format,
            ["version"] = Version,
            ["tensors"] = JsonSerializer.Serialize(tensors, ResultJson.LineOptions),
        };
        if (run is not null)
            metadata["run"] = run;
        return metadata;
    }

    private static List<PatchedTensor> ReadTensors(SafetensorsFile file)
    {
        try
        {
            var list = file.Metadata.GetValueOrDefault("tensors", "");
            var tensors = JsonSerializer.Deserialize<List<PatchedTensor>>(list, ResultJson.Options) ?? [];
            var whole =
                tensors.All(tensor => tensor is { Name: not null, DType: not null, Shape: not null, Base.Length: 64, Result.Length: 64 })
                && tensors.DistinctBy(tensor => tensor.Name).Count() == tensors.Count;
            return whole
                ? tensors
                : throw new UnsupportedCheckpointException($"{file.Path}: the patch's list of tensors is damaged. Get the file again.");
        }
        catch (JsonException error)
        {
            throw new UnsupportedCheckpointException(
                $"{file.Path}: the patch's list of tensors is damaged ({error.Message}). Get the file again.",
                error
            );
        }
    }

    private void CheckDifferences()
    {
        foreach (var tensor in Tensors.Where(tensor => tensor.IsChanged))
        {
            var entry = Difference(tensor).Entry;
            if ((ulong)entry.ByteLength != SafetensorsDType.ByteLength(tensor.DType, [.. tensor.Shape], out _))
                throw Damaged(
                    $"the difference of \"{tensor.Name}\" has {entry.ByteLength} bytes, which does not fit "
                        + $"{tensor.DType} [{string.Join(", ", tensor.Shape)}]"
                );
        }

        if (_file.Entries.FirstOrDefault(entry => Find(entry.Name) is not { IsChanged: true }) is { } stray)
            throw Damaged($"it holds \"{stray.Name}\", which its list of tensors does not name as changed");
    }

    private UnsupportedCheckpointException Damaged(string fault) => new($"{Path}: the patch is damaged: {fault}. Get the file again.");

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();
}
