namespace Falcon.Hub;

/// <summary>
/// The cache of the hub's own client, so that both find each other's files: <c>models--ORGANISATION--NAME/blobs/HASH</c> holds contents,
/// <c>snapshots/COMMIT/PATH</c> links to them, <c>refs/REVISION</c> names a commit. Where the system allows no links, snapshots hold the
/// files themselves.
/// </summary>
internal sealed class HubCache(string directory, HubRepository repository)
{
    private readonly string _root = Path.Combine(Path.GetFullPath(directory), repository.CacheFolder);

    /// <summary>Where the content of a file lies or comes to lie.</summary>
    public string Blob(HubFile file) => Path.Combine(_root, "blobs", file.Hash);

    /// <summary>The folder of a commit.</summary>
    public string Snapshot(string commit) => Path.Combine(_root, "snapshots", commit);

    /// <summary>Whether a file stands in the folder of a commit with its content.</summary>
    public bool Has(string commit, HubFile file) => File.Exists(Blob(file)) && File.Exists(Place(commit, file));

    /// <summary>Puts a content that lies in its place into the folder of a commit.</summary>
    public void Link(string commit, HubFile file)
    {
        var place = Place(commit, file);
        Directory.CreateDirectory(Path.GetDirectoryName(place)!);
        File.Delete(place); // a link to an older content, or to one that is gone
        try
        {
            File.CreateSymbolicLink(place, Path.GetRelativePath(Path.GetDirectoryName(place)!, Blob(file)));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException && OperatingSystem.IsWindows())
        {
            File.Copy(Blob(file), place);
        }
    }

    /// <summary>Remembers which commit a revision stands for.</summary>
    public void Remember(string revision, string commit)
    {
        if (revision == commit) return;
        Runtime.OutputFile.Write(Path.Combine([_root, "refs", .. revision.Split('/')]), commit);
    }

    private string Place(string commit, HubFile file) => Path.Combine([Snapshot(commit), .. file.Path.Split('/')]);
}
