using System.Security.Cryptography;
using System.Text;

namespace Falcon.Runtime;

/// <summary>SHA-256 of files, so that a result identifies the weights and data that it came from.</summary>
public static class ContentHash
{
    private const int BufferSize = 1 << 20;

    /// <summary>SHA-256 of a file, as 64 lower-case hexadecimal digits; the file is read in pieces.</summary>
    /// <exception cref="UserInputException">The file does not exist.</exception>
    /// <exception cref="OperationCanceledException">Cancelled while reading.</exception>
    public static string OfFile(string path, CancellationToken cancellation = default)
    {
        if (!File.Exists(path)) throw new UserInputException($"{path}: there is no such file; check the path.");
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1, FileOptions.SequentialScan);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[BufferSize];
        for (var count = stream.Read(buffer); count > 0; count = stream.Read(buffer))
        {
            cancellation.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, count);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>
    /// SHA-256 of every <c>*.safetensors</c> file of a model directory and one hash for all of them. For a single file that is its own
    /// hash. For several it is the hash of the lines <c>HASH␠␠NAME\n</c> in ordinal order of the names, as <c>sha256sum *.safetensors |
    /// sha256sum</c> computes it in the C locale.
    /// </summary>
    /// <exception cref="UserInputException">The directory does not exist or holds no safetensors file.</exception>
    /// <exception cref="OperationCanceledException">Cancelled while reading.</exception>
    public static ModelHash OfModel(string directory, CancellationToken cancellation = default)
    {
        if (!Directory.Exists(directory))
            throw new UserInputException($"{directory}: there is no such directory; --model takes a Hugging Face model directory.");
        var names = Directory
            .EnumerateFiles(directory, "*.safetensors")
            .Select(p => Path.GetFileName(p))
            .Order(StringComparer.Ordinal)
            .ToList();
        if (names.Count == 0)
            throw new UserInputException($"{directory}: it holds no *.safetensors file; --model takes a Hugging Face model directory.");
        var files = names.ConvertAll(name =>
        {
            var path = Path.Combine(directory, name);
            return new FileHash(name, FileSize.Of(path), OfFile(path, cancellation));
        });
        return new ModelHash(files is [var only] ? only.Sha256 : OfLines(files), files);
    }

    private static string OfLines(IEnumerable<FileHash> files) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Concat(files.Select(f => $"{f.Sha256}  {f.Name}\n")))));
}

/// <summary>A file with the hash of its content.</summary>
/// <param name="Name">File name, or path as the user gave it.</param>
/// <param name="Bytes">Size in bytes.</param>
/// <param name="Sha256">SHA-256 of the bytes, 64 lower-case hexadecimal digits.</param>
public sealed record FileHash(string Name, long Bytes, string Sha256);

/// <summary>The hashes of a model's weights (<see cref="ContentHash.OfModel"/>).</summary>
/// <param name="Sha256">One hash for all weights.</param>
/// <param name="Files">Each weight file.</param>
public sealed record ModelHash(string Sha256, IReadOnlyList<FileHash> Files);
