namespace Falcon.Runtime;

/// <summary>Sizes of files.</summary>
public static class FileSize
{
    /// <summary>The size of a file in bytes; for a link, as in a hub's cache, the size of its target.</summary>
    /// <exception cref="FileNotFoundException">There is no such file, or the target of the link is missing.</exception>
    public static long Of(string path) =>
        new FileInfo(path).ResolveLinkTarget(returnFinalTarget: true) is FileInfo target ? target.Length : new FileInfo(path).Length;
}
