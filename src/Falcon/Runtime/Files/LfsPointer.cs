namespace Falcon.Runtime.Files;

/// <summary>
/// A Git LFS pointer: the few lines of text that a clone without Git LFS leaves in place of a large file. Whoever opens a file of a model
/// or of a data set says so instead of complaining about the bytes.
/// </summary>
internal static class LfsPointer
{
    // A pointer is at most 1024 bytes long and begins with this line (the specification of Git LFS).
    private const int MostBytes = 1024;

    private static ReadOnlySpan<byte> FirstLine => "version https://git-lfs.github.com/spec/"u8;

    /// <summary>Whether the file is a pointer; false for a file that cannot be read.</summary>
    public static bool IsAt(string path)
    {
        try
        {
            var file = new FileInfo(path);
            if (!file.Exists || file.Length > MostBytes || file.Length < FirstLine.Length)
                return false;
            return File.ReadAllBytes(path).AsSpan().StartsWith(FirstLine);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Refuses a pointer.</summary>
    /// <exception cref="UserInputException">The file is a pointer.</exception>
    public static void Refuse(string path)
    {
        if (IsAt(path))
            throw new UserInputException(
                $"{path}: this is a Git LFS pointer, not the file itself. Run \"git lfs pull\" in that folder, or fetch the whole "
                    + "repository with \"falcon download\"."
            );
    }
}
