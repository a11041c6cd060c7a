using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Falcon.Runtime;

namespace Falcon.Hub;

/// <summary>
/// Downloads one file to <c>TARGET.incomplete</c>, resuming an earlier attempt, checks length and hash, then renames it. Incomplete content
/// is kept for the next attempt; wrong content is deleted.
/// </summary>
internal sealed class HubTransfer(HubClient client, HubRepository repository, string commit, Action<HubFile, long> progress)
{
    private const int PieceLength = 1 << 18;
    private const int MostDamaged = 2;

    /// <summary>Downloads the file to <paramref name="target"/>.</summary>
    /// <exception cref="UserInputException">The hub refuses the file, or sends something other than it announced.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; what has arrived is kept.</exception>
    public async Task Fetch(HubFile file, string target, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        var incomplete = target + ".incomplete";
        for (var damaged = 0; ;)
        {
            await client.Retry.Run(file.Path, () => Receive(file, incomplete, cancellation), cancellation);
            if (await HashOf(incomplete, file, cancellation) == file.Hash) break;
            File.Delete(incomplete);
            if (++damaged == MostDamaged)
                throw new UserInputException(
                    $"{client.Settings.Endpoint}: {file.Path} of {repository.Name} arrived {MostDamaged} times with content that does not "
                        + $"match its hash {file.Hash}; it was deleted. Try again later, or another --endpoint."
                );
        }

        File.Move(incomplete, target, overwrite: true);
    }

    /// <summary>
    /// The hash that the hub uses for the content: SHA-256 for large files, otherwise git's SHA-1 of <c>blob LENGTH\0</c> and the bytes.
    /// </summary>
    public static async Task<string> HashOf(string path, HubFile file, CancellationToken cancellation)
    {
        var isLarge = file.Hash.Length == 64;
        using var hash = IncrementalHash.CreateHash(isLarge ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA1);
        if (!isLarge)
            hash.AppendData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {new FileInfo(path).Length}\0")));
        await using var stream = new FileStream(
            path,
            FileMode.Open,
            FileAccess.Read,
            FileShare.Read,
            bufferSize: 1,
            FileOptions.SequentialScan
        );
        var buffer = new byte[1 << 20];
        for (int count; (count = await stream.ReadAsync(buffer, cancellation)) > 0;) hash.AppendData(buffer, 0, count);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private async Task<bool> Receive(HubFile file, string incomplete, CancellationToken cancellation)
    {
        await using var stream = Open(incomplete);
        if (stream.Length > file.Size) stream.SetLength(0);
        stream.Position = stream.Length;
        progress(file, stream.Length);
        if (stream.Length == file.Size) return true;
        var before = stream.Length;
        using var response = await client.Get(repository, commit, file, before, cancellation);
        if (response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
        {
            stream.SetLength(0);
            throw new IOException(
                string.Create(CultureInfo.InvariantCulture, $"the server has no data from byte {before} of {file.Size} on; starting over")
            );
        }

        if (response.StatusCode != HttpStatusCode.PartialContent) stream.SetLength(before = 0); // the server sends the whole file again
        CheckLengths(response, file, before);
        try
        {
            await Copy(response, stream, file, cancellation);
        }
        catch (Exception error) when (error is IOException or HttpRequestException && stream.Length > before)
        {
            throw new ProgressMadeException(
                string.Create(CultureInfo.InvariantCulture, $"the connection was cut at byte {stream.Length} of {file.Size}"),
                error
            );
        }
        catch (OperationCanceledException error) when (!cancellation.IsCancellationRequested && stream.Length > before)
        {
            throw new ProgressMadeException(
                string.Create(CultureInfo.InvariantCulture, $"no data arrived after byte {stream.Length} of {file.Size}"),
                error
            );
        }

        if (stream.Length == file.Size) return true;
        var fault = string.Create(CultureInfo.InvariantCulture, $"the server ended after byte {stream.Length} of {file.Size}");
        throw stream.Length > before ? new ProgressMadeException(fault) : new IOException(fault);
    }

    // If the announced lengths contradict the listing, nothing of the answer is written.
    private static void CheckLengths(HttpResponseMessage response, HubFile file, long from)
    {
        if (
            response.StatusCode == HttpStatusCode.PartialContent
            && response.Content.Headers.ContentRange is var range
            && (range?.From != from || (range.Length is { } whole && whole != file.Size))
        )
            throw new IOException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"asked for bytes from {from} on, the server offers {range?.ToString() ?? "no range"} of a file of {file.Size} bytes"
                )
            );
        if (response.Content.Headers.ContentLength is { } length && length != file.Size - from)
            throw new IOException(
                string.Create(CultureInfo.InvariantCulture, $"the server announces {length} bytes instead of {file.Size - from}")
            );
    }

    private async Task Copy(HttpResponseMessage response, FileStream stream, HubFile file, CancellationToken cancellation)
    {
        await using var source = await response.Content.ReadAsStreamAsync(cancellation);
        var buffer = new byte[PieceLength];
        while (true)
        {
            using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            silence.CancelAfter(client.Settings.Silence);
            var count = await source.ReadAsync(buffer, silence.Token);
            if (count == 0) return;
            if (stream.Position + count > file.Size)
            {
                stream.SetLength(0);
                throw new IOException(
                    string.Create(CultureInfo.InvariantCulture, $"the server sends more than the {file.Size} bytes of the file")
                );
            }

            await stream.WriteAsync(buffer.AsMemory(0, count), CancellationToken.None);
            progress(file, stream.Position);
        }
    }

    private static FileStream Open(string incomplete)
    {
        try
        {
            return new FileStream(incomplete, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException error)
        {
            throw new UserInputException(
                $"{incomplete}: it cannot be written ({error.Message.TrimEnd('.')}). "
                    + "Another download of the same file may be running; wait for it.",
                error
            );
        }
    }
}
