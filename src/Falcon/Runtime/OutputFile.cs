namespace Falcon.Runtime;

/// <summary>Files that appear whole or not at all.</summary>
public static class OutputFile
{
    /// <summary>
    /// Writes a text as UTF-8 to <c>PATH.partial</c> and renames it to <paramref name="path"/>, replacing an existing file. Missing folders
    /// are created.
    /// </summary>
    /// <exception cref="UserInputException">The path is a directory.</exception>
    /// <exception cref="IOException">The disk is full or the path cannot be written; nothing is left behind.</exception>
    public static void Write(string path, string text)
    {
        var full = Path.GetFullPath(path);
        if (Directory.Exists(full)) throw new UserInputException($"{path}: it is a directory; name a file to write.");
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        var partial = full + ".partial";
        try
        {
            File.WriteAllText(partial, text);
            File.Move(partial, full, overwrite: true);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
    }
}
