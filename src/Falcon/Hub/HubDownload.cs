using Falcon.Checkpoints;
using Falcon.Runtime;

namespace Falcon.Hub;

/// <summary>What to fetch from a hub.</summary>
/// <param name="Repository">The repository.</param>
/// <param name="Revision">Branch, tag or commit.</param>
/// <param name="Include">
/// Patterns of files (<c>*</c>, <c>?</c>, <c>[abc]</c>); empty for all files, but of a model with safetensors no weights in other formats.
/// </param>
/// <param name="Out">A directory for the files; null for the hub's cache.</param>
public sealed record HubRequest(
    HubRepository Repository,
    string Revision = "main",
    IReadOnlyList<string>? Include = null,
    string? Out = null
);

/// <summary>What was fetched.</summary>
/// <param name="Repository">Name of the repository.</param>
/// <param name="Commit">The commit that the revision stood for.</param>
/// <param name="Directory">The directory of the files, for <c>--model</c>, <c>--data</c> and the like.</param>
/// <param name="Files">The files, ordered by path.</param>
/// <param name="Bytes">Their total length.</param>
/// <param name="Fetched">Bytes of the files that were not there before.</param>
/// <param name="LeftOut">Files of the repository that were not requested.</param>
public sealed record HubDownloadResult(
    string Repository,
    string Commit,
    string Directory,
    IReadOnlyList<HubFile> Files,
    long Bytes,
    long Fetched,
    IReadOnlyList<string> LeftOut
);

/// <summary>
/// Fetches a model or a data set from a Hugging Face hub, checks every file by its hash, and resumes an interrupted download.
/// </summary>
public static class HubDownload
{
    private const int Ticks = 1000;

    /// <summary>Fetches the files of a revision into the cache or into a directory.</summary>
    /// <param name="request">What to fetch.</param>
    /// <param name="settings">The hub, the token and the cache.</param>
    /// <param name="log">Receives messages and progress.</param>
    /// <param name="cancellation">Stops the download; what has arrived is kept and used by the next one.</param>
    /// <exception cref="UserInputException">
    /// The hub refuses or does not know the repository, cannot be reached, or sends something other than it announced. No incomplete file
    /// is left under its final name.
    /// </exception>
    public static HubDownloadResult Execute(HubRequest request, HubSettings settings, IRunLog log, CancellationToken cancellation = default)
    {
        if (request.Revision.Split('/').Any(part => part is "" or "." or ".."))
            throw new UserInputException($"--revision '{request.Revision}': it is no branch, tag or commit. Name one of these.");
        return ExecuteAsync(request, settings, log, cancellation).GetAwaiter().GetResult();
    }

    private static async Task<HubDownloadResult> ExecuteAsync(
        HubRequest request,
        HubSettings settings,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        using var client = new HubClient(settings, log);
        using var output = request.Out is null ? null : RunDirectory.Create(request.Out, RunDirectory.IsInterrupted(request.Out));
        var listing = await client.List(request.Repository, request.Revision, cancellation);
        var wanted = FileSelection.Of(listing.Files, request.Include ?? [], request.Repository.Type);
        if (wanted.Count == 0)
            throw new UserInputException(
                $"{request.Repository.Name}: none of its {listing.Files.Count} files at {request.Revision} matches "
                    + $"{string.Join(", ", request.Include ?? [])}; give another --include."
            );
        var leftOut = listing.Files.Except(wanted).Select(file => file.Path).ToList();
        if (leftOut.Count > 0 && request.Include is not { Count: > 0 })
        {
            var named = string.Join(", ", leftOut.Take(5)) + (leftOut.Count > 5 ? $" and {leftOut.Count - 5} more" : "");
            log.Information($"left out, since the model is available as safetensors: {named} (--include '*' fetches all files)");
        }

        var total = wanted.Sum(file => file.Size);
        var cache = new HubCache(settings.CacheDirectory, request.Repository);
        var done = 0L;
        var transfer = new HubTransfer(client, request.Repository, listing.Commit, (file, bytes) =>
            log.Progress(
                "downloading",
                (int)((done + bytes) * Ticks / Math.Max(1, total)),
                Ticks,
                $"{file.Path}  {PeakMemory.Text(done + bytes)} of {PeakMemory.Text(total)}"
            )
        );
        output?.KeepForResume();
        List<HubFile> files = [];
        var fetched = 0L;
        foreach (var listed in wanted.OrderBy(file => file.Size))
        {
            cancellation.ThrowIfCancellationRequested();
            var file =
                output is null && cache.Has(listing.Commit, listed)
                    ? listed
                    : await client.Head(request.Repository, listing.Commit, listed, cancellation);
            var target = output is null ? cache.Blob(file) : output.PathOf(file.Path.Split('/'));
            if (!await IsThere(target, file, isCache: output is null, cancellation))
            {
                await transfer.Fetch(file, target, cancellation);
                fetched += file.Size;
            }

            if (output is null) cache.Link(listing.Commit, file);
            files.Add(file);
            done += file.Size;
        }

        if (output is null) cache.Remember(request.Revision, listing.Commit);
        if (output is not null && request.Repository.Type == HubRepositoryType.Model)
            ModelOrigin.NoteDownload(output.WorkingPath, request.Repository.Name, listing.Commit);
        output?.Commit();
        return new HubDownloadResult(
            request.Repository.Name,
            listing.Commit,
            output?.FinalPath ?? cache.Snapshot(listing.Commit),
            [.. files.OrderBy(file => file.Path, StringComparer.Ordinal)],
            total,
            fetched,
            leftOut
        );
    }

    // Content in the cache was checked before it got its name. A file of an interrupted download into a directory may be of another
    // revision.
    private static async Task<bool> IsThere(string target, HubFile file, bool isCache, CancellationToken cancellation) =>
        File.Exists(target)
        && new FileInfo(target).Length == file.Size
        && (isCache || await HubTransfer.HashOf(target, file, cancellation) == file.Hash);
}
