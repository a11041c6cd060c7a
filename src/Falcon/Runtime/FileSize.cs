namespace Falcon.Runtime;

/// <summary>Lengths of files.</summary>
public static class FileSize
{
    /// <summary>The length of a file in bytes; of a link, as in a hub's cache, that of the file it leads to.</summary>
    /// <exception cref="FileNotFoundException">There is no such file, or the link leads nowhere.</exception>
    public static long Of(string path) =>
        new FileInfo(path).ResolveLinkTarget(returnFinalTarget: true) is FileInfo target ? target.Length : new FileInfo(path).Length;
}
