using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Checkpoints;

/// <summary>
/// Writes a changed checkpoint: copies the weight files and every other file of the source directory, then overwrites the bytes of the
/// trained tensors in place. Names, dtypes, sharding, headers and all other bytes stay the same, and untrained weights never pass through
/// memory.
/// </summary>
public static class CheckpointWriter
{
    private static readonly string[] OtherWeights = ["*.safetensors", "*.bin", "*.pth", "*.pt", "*.gguf", "*.h5", "*.msgpack", "*.onnx"];

    /// <summary>Copies a checkpoint to a new directory with some tensors changed.</summary>
    /// <param name="source">The original checkpoint.</param>
    /// <param name="directory">The directory to write; it must not exist. The caller renames it into place.</param>
    /// <param name="changed">New values by tensor name, of the stored shape; they are rounded to the stored dtype.</param>
    /// <exception cref="UserInputException">The directory exists or the disk is full.</exception>
    /// <exception cref="NumericalFailureException">
    /// A changed tensor holds a NaN or an infinity, possibly only after rounding to the stored dtype.
    /// </exception>
    public static void Write(Checkpoint source, string directory, IReadOnlyDictionary<string, BlockTensor> changed)
    {
        if (System.IO.Directory.Exists(directory))
            throw new UserInputException($"{directory}: the directory exists already. Choose another output directory.");
        try
        {
            CopyOtherFiles(source.Directory, directory);
            foreach (var file in source.WeightFiles) Copy(file, directory);
            // A copy of a tied embedding would keep what was removed, and another reader would use it.
            var copies = changed.SelectMany(item => source.CopiesOf(item.Key).Select(name => KeyValuePair.Create(name, item.Value)));
            foreach (var group in changed.Concat(copies).GroupBy(item => source.Locate(item.Key).File.Path))
            {
                using var stream = new FileStream(Path.Combine(directory, Path.GetFileName(group.Key)), FileMode.Open, FileAccess.Write);
                foreach (var (name, tensor) in group) WriteTensor(source, name, tensor, stream);
                stream.Flush(flushToDisk: true);
            }
        }
        catch (Exception e)
        {
            if (System.IO.Directory.Exists(directory))
                System.IO.Directory.Delete(directory, recursive: true);
            if (e is not IOException)
                throw;
            throw new UserInputException(
                $"{directory}: it could not be written ({e.Message}). Free some space or choose another place; nothing was left behind.",
                e
            );
        }
    }

    /// <summary>Bytes of disk space that <see cref="Write"/> will need.</summary>
    public static long ByteLength(Checkpoint source) => ByteLength(source.Directory) + source.WeightFiles.Sum(file => FileSize.Of(file));

    private static long ByteLength(string folder) => Files(folder).Sum(path => FileSize.Of(path)) + Folders(folder).Sum(ByteLength);

    private static void WriteTensor(Checkpoint source, string name, BlockTensor tensor, FileStream stream)
    {
        var (file, entry) = source.Locate(name);
        if (!tensor.Shape.SequenceEqual(entry.Shape))
            throw new ArgumentException(
                $"\"{name}\" has shape [{string.Join(", ", tensor.Shape)}], the checkpoint stores [{string.Join(", ", entry.Shape)}].",
                nameof(tensor)
            );
        stream.Position = file.DataStart + entry.Begin;
        foreach (var (start, count) in tensor.Blocks())
        {
            using var scope = NewDisposeScope();
            var stored = tensor.Read(start, count).cpu().to(TensorBytes.TypeOf(entry.DType));
            if (!stored.isfinite().all().item<bool>())
                throw new NumericalFailureException($"\"{name}\" holds a value that is not finite in {entry.DType}; nothing was saved.");
            TensorBytes.Write(stored, stream);
        }
    }

    /// <summary>
    /// Copies all files of a model directory and its folders except weights in any format; the target may exist. A second copy of the
    /// weights, in another format or outside the index, would still hold the removed knowledge.
    /// </summary>
    internal static void CopyOtherFiles(string from, string to)
    {
        System.IO.Directory.CreateDirectory(to);
        foreach (var path in Files(from)) Copy(path, to);
        foreach (var folder in Folders(from)) CopyOtherFiles(folder, Path.Combine(to, Path.GetFileName(folder)));
    }

    private static void Copy(string path, string directory)
    {
        var copy = Path.Combine(directory, Path.GetFileName(path));
        File.Copy(path, copy);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(copy, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
    }

    private static IEnumerable<string> Files(string folder) =>
        System.IO.Directory.EnumerateFiles(folder)
            .Except(OtherWeights.SelectMany(pattern => System.IO.Directory.EnumerateFiles(folder, pattern)));

    private static IEnumerable<string> Folders(string folder) =>
        System.IO.Directory.EnumerateDirectories(folder).Where(inner => !Path.GetFileName(inner).StartsWith('.'));
}
