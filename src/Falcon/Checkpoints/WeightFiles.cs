using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;
using Falcon.Runtime.Files;

namespace Falcon.Checkpoints;

/// <summary>
/// The safetensors files of a model directory, a single one or several with an index, opened for reading. Independent of any architecture:
/// names, shapes and dtypes are those of the files.
/// </summary>
public sealed class WeightFiles : IDisposable
{
    private const string SingleFile = "model.safetensors";
    private static readonly string[] PickleFiles = ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"];

    private readonly List<SafetensorsFile> _files = [];
    private readonly List<string> _notes = [];
    private readonly Dictionary<string, (SafetensorsFile File, SafetensorsEntry Entry)> _tensors = [];

    private WeightFiles(string directory) => Directory = directory;

    /// <summary>The model directory, as a full path.</summary>
    public string Directory { get; }

    /// <summary>The files, ordered by name.</summary>
    public IReadOnlyList<SafetensorsFile> Files => _files;

    /// <summary>The names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>Files that lie there and are not read, one sentence each.</summary>
    public IReadOnlyList<string> Notes => _notes;

    /// <summary>Opens the files that <c>model.safetensors.index.json</c> names, or else <c>model.safetensors</c>.</summary>
    /// <exception cref="UserInputException">A directory or file is missing.</exception>
    /// <exception cref="UnsupportedCheckpointException">
    /// A file is damaged or of another format, a tensor name occurs twice, or a single file and shards lie side by side.
    /// </exception>
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
        var single = Path.Combine(Directory, SingleFile);
        var index = Path.Combine(Directory, SingleFile + ".index.json");
        if (File.Exists(index))
        {
            LfsPointer.Refuse(index);
            var map = ReadIndex(index);
            if (!IsLeftOver(index, map.Values, File.Exists(single)))
            {
                AddShards(index, map);
                NoteUnread();
                return;
            }
        }

        if (File.Exists(single))
        {
            AddFile(single);
            NoteUnread();
            return;
        }

        var other = PickleFiles.FirstOrDefault(name => File.Exists(Path.Combine(Directory, name)));
        throw new UserInputException(
            other is null
                ? $"{Directory}: neither model.safetensors nor model.safetensors.index.json is there. "
                    + "Give a directory with the weights in safetensors format."
                : $"{Path.Combine(Directory, other)}: weights in pickle format are not read, because loading them can run code. "
                    + "Convert the checkpoint to safetensors first."
        );
    }

    /// <summary>
    /// Whether an index is left over beside a single file, because none of its shards is there. An index with shards beside a single file
    /// that it does not name is refused: one of the two is stale, and libraries take the single file.
    /// </summary>
    private bool IsLeftOver(string index, IEnumerable<string> shards, bool hasSingle)
    {
        List<string> named = [.. shards.Distinct().Order(StringComparer.Ordinal)];
        if (!hasSingle || named.Contains(SingleFile)) return false;
        if (named.FirstOrDefault(shard => File.Exists(Path.Combine(Directory, shard))) is { } present)
            throw new UnsupportedCheckpointException(
                $"{Directory}: there is a {SingleFile} and also {Path.GetFileName(index)}, which names {present}"
                    + (named.Count > 1 ? " and others" : "")
                    + ". One of the two is an older copy of the weights. Remove it: either the single file, or the index with its shards."
            );
        _notes.Add($"{index}: none of the files that it names is there; {SingleFile} is read instead");
        return true;
    }

    private void AddShards(string index, Dictionary<string, string> map)
    {
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

    private void NoteUnread()
    {
        List<string> unread =
        [
            .. System.IO.Directory
                .EnumerateFiles(Directory, "*.safetensors")
                .Select(path => Path.GetFileName(path))
                .Where(name => !_files.Exists(file => Path.GetFileName(file.Path) == name))
                .Order(StringComparer.Ordinal),
        ];
        if (unread.Count > 0)
            _notes.Add(
                $"{Directory}: not read, because no index names {(unread.Count > 1 ? "them" : "it")}: {string.Join(", ", unread)}"
            );
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
