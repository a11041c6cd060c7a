using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;

namespace Falcon.Checkpoints;

/// <summary>
/// The safetensors files of a model directory, a single one or several with an index, opened for reading. Independent of any architecture:
/// names, shapes and dtypes are those of the files.
/// </summary>
public sealed class WeightFiles : IDisposable
{
    private static readonly string[] PickleFiles = ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"];

    private readonly List<SafetensorsFile> _files = [];
    private readonly Dictionary<string, (SafetensorsFile File, SafetensorsEntry Entry)> _tensors = [];

    private WeightFiles(string directory) => Directory = directory;

    /// <summary>The model directory, as a full path.</summary>
    public string Directory { get; }

    /// <summary>The files, ordered by name.</summary>
    public IReadOnlyList<SafetensorsFile> Files => _files;

    /// <summary>The names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>Opens <c>model.safetensors</c>, or else the files that <c>model.safetensors.index.json</c> names.</summary>
    /// <exception cref="UserInputException">A directory or file is missing.</exception>
    /// <exception cref="UnsupportedCheckpointException">A file is damaged or of another format, or a tensor name occurs twice.</exception>
    public static WeightFiles Open(string directory)
    {
        if (!System.IO.Directory.Exists(directory))
            throw new UserInputException($"{directory}: no such directory. Give the folder of a Hugging Face checkpoint.");
        var opened = new WeightFiles(Path.GetFullPath(directory));
        try
        {
            opened.OpenFiles();
            return opened;
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    /// <summary>The file and the header entry of a tensor.</summary>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    public (SafetensorsFile File, SafetensorsEntry Entry) Locate(string name) => _tensors[name];

    /// <summary>The file and the header entry of a tensor; false when there is no such tensor.</summary>
    public bool TryLocate(string name, [MaybeNullWhen(false)] out (SafetensorsFile File, SafetensorsEntry Entry) found) =>
        _tensors.TryGetValue(name, out found);

    private void OpenFiles()
    {
        var single = Path.Combine(Directory, "model.safetensors");
        var index = Path.Combine(Directory, "model.safetensors.index.json");
        if (File.Exists(single))
        {
            AddFile(single);
        }
        else if (File.Exists(index))
        {
            var map = ReadIndex(index);
            foreach (var shard in map.Values.Distinct().Order(StringComparer.Ordinal))
            {
                var path = Path.Combine(Directory, shard);
                if (!File.Exists(path))
                    throw new UserInputException(
                        $"{path}: not found, although {Path.GetFileName(index)} names it. Copy the missing shard into the directory."
                    );
                AddFile(path);
            }

            foreach (var (name, shard) in map)
                if (!_tensors.TryGetValue(name, out var found) || Path.GetFileName(found.File.Path) != shard)
                    throw new UnsupportedCheckpointException(
                        $"{index}: weight_map says that {shard} holds \"{name}\", but it does not. Copy the checkpoint again."
                    );
        }
        else
        {
            var other = PickleFiles.FirstOrDefault(name => File.Exists(Path.Combine(Directory, name)));
            throw new UserInputException(
                other is null
                    ? $"{Directory}: neither model.safetensors nor model.safetensors.index.json is there. "
                        + "Give a directory with the weights in safetensors format."
                    : $"{Path.Combine(Directory, other)}: weights in pickle format are not read, because loading them can run code. "
                        + "Convert the checkpoint to safetensors first."
            );
        }
    }

    private void AddFile(string path)
    {
        var file = SafetensorsFile.Open(path);
        _files.Add(file);
        foreach (var entry in file.Entries)
            if (!_tensors.TryAdd(entry.Name, (file, entry)))
                throw new UnsupportedCheckpointException(
                    $"{path}: the tensor \"{entry.Name}\" is also in {_tensors[entry.Name].File.Path}. Copy the checkpoint again."
                );
    }

    private static Dictionary<string, string> ReadIndex(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            var map = new Dictionary<string, string>();
            foreach (var item in document.RootElement.GetProperty("weight_map").EnumerateObject())
            {
                var shard = item.Value.GetString() ?? "";
                if (shard.Length == 0 || shard != Path.GetFileName(shard))
                    throw new UnsupportedCheckpointException($"{path}: \"{shard}\" is not a plain file name. Restore the file.");
                if (!map.TryAdd(item.Name, shard))
                    throw new UnsupportedCheckpointException($"{path}: weight_map names \"{item.Name}\" twice. Restore the file.");
            }

            return map;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new UnsupportedCheckpointException(
                $"{path}: not a valid shard index (an object with \"weight_map\"). Restore the file from the original checkpoint.",
                e
            );
        }
    }

    /// <summary>Unmaps the files.</summary>
    public void Dispose()
    {
        foreach (var file in _files) file.Dispose();
    }
}
