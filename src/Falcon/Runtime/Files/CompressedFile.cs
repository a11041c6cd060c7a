namespace Falcon.Runtime.Files;

/// <summary>Recognises, by its first bytes, a compressed or binary file under the name of a text file.</summary>
internal static class CompressedFile
{
    private static readonly (string Kind, string Remedy, byte[] Beginning)[] Kinds =
    [
        ("compressed with gzip", "decompress it (gunzip)", [0x1F, 0x8B]),
        ("compressed with Zstandard", "decompress it (zstd -d)", [0x28, 0xB5, 0x2F, 0xFD]),
        ("compressed with xz", "decompress it (unxz)", [0xFD, 0x37, 0x7A, 0x58, 0x5A]),
        ("compressed with bzip2", "decompress it (bunzip2)", [0x42, 0x5A, 0x68]),
        ("a zip archive", "unpack it", [0x50, 0x4B, 0x03, 0x04]),
        ("a Parquet file", "name it .parquet", [0x50, 0x41, 0x52, 0x31]),
    ];

    /// <summary>Refuses such a file.</summary>
    /// <exception cref="UserInputException">The file is compressed, or of a binary kind.</exception>
    public static void Refuse(string path)
    {
        Span<byte> beginning = stackalloc byte[8];
        int count;
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            count = stream.ReadAtLeast(beginning, beginning.Length, throwOnEndOfStream: false);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return; // whoever reads it next says why it cannot be opened
        }

        foreach (var (kind, remedy, bytes) in Kinds)
            if (beginning[..count].StartsWith(bytes))
                throw new UserInputException($"{path}: the file is {kind}, not text; {remedy} first.");
    }
}
