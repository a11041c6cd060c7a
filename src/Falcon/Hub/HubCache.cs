namespace Falcon.Hub;

/// <summary>
/// The cache directory, shared with the hub's own client: <c>models--ORGANISATION--NAME/blobs/HASH</c> holds the contents,
/// <c>snapshots/COMMIT/PATH</c> links to them, <c>refs/REVISION</c> names a commit. On a system without links, snapshots hold copies.
/// </summary>
internal sealed class HubCache(string directory, HubRepository repository)
{
    private readonly string _root = Path.Combine(Path.GetFullPath(directory), repository.CacheFolder);

    /// <summary>The path of a file's content, whether or not it is there yet.</summary>
    public string Blob(HubFile file) => Path.Combine(_root, "blobs", file.Hash);

    /// <summary>The folder of a commit.</summary>
    public string Snapshot(string commit) => Path.Combine(_root, "snapshots", commit);

    /// <summary>Whether the folder of a commit has a file and the cache has its content.</summary>
    public bool Has(string commit, HubFile file) => File.Exists(Blob(file)) && File.Exists(Place(commit, file));

    /// <summary>Adds a file, whose content is in the cache, to the folder of a commit.</summary>
    public void Link(string commit, HubFile file)
    {
        var place = Place(commit, file);
        Directory.CreateDirectory(Path.GetDirectoryName(place)!);
        File.Delete(place); // it may link to older or missing content
        try
        {
            File.CreateSymbolicLink(place, Path.GetRelativePath(Path.GetDirectoryName(place)!, Blob(file)));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException && OperatingSystem.IsWindows())
        {
            File.Copy(Blob(file), place);
        }
    }

    /// <summary>Records which commit a revision stands for.</summary>
    public void Remember(string revision, string commit)
    {
        if (revision == commit) return;
        Runtime.OutputFile.Write(Path.Combine([_root, "refs", .. revision.Split('/')]), commit);
    }

    private string Place(string commit, HubFile file) => Path.Combine([Snapshot(commit), .. file.Path.Split('/')]);
}
