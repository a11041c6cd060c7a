using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Hub;

/// <summary>
/// Speaks a hub's web interface: what a revision holds, what a file is, the bytes of a file from a place on. A cut connection, a busy
/// server (429) and a server's own fault (5xx) are tried again with growing pauses. The token goes to the hub's own host and to no other
/// that it redirects to.
/// </summary>
internal sealed partial class HubClient : IDisposable
{
    private const int MostRedirects = 8;

    private readonly HubSettings _settings;
    private readonly IRunLog _log;
    private readonly HttpClient _http;
    private readonly Uri _root;

    public HubClient(HubSettings settings, IRunLog log)
    {
        (_settings, _log, _root) = (settings, log, new Uri(settings.Endpoint.AbsoluteUri.TrimEnd('/') + "/"));
        _http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = settings.Silence })
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
        _http.DefaultRequestHeaders.UserAgent.Add(
            new ProductInfoHeaderValue("falcon-unlearning", typeof(HubClient).Assembly.GetName().Version!.ToString(3))
        );
    }

    public HubSettings Settings => _settings;

    public void Dispose() => _http.Dispose();

    /// <summary>The commit of a revision and its files.</summary>
    public async Task<HubListing> List(HubRepository repository, string revision, CancellationToken cancellation)
    {
        var commit = await Retried(
            $"the revision {revision} of {repository.Name}",
            async _ =>
            {
                using var response = await Send(
                    HttpMethod.Get,
                    new Uri(_root, $"{repository.ApiPath}/revision/{Uri.EscapeDataString(revision)}"),
                    null,
                    cancellation
                );
                Require(response, repository, revision, null);
                using var document = JsonDocument.Parse(await response.Content.ReadAsStringAsync(cancellation));
                return document.RootElement.GetProperty("sha").GetString()!;
            },
            cancellation
        );
        if (!Commit().IsMatch(commit))
            throw new UserInputException(
                $"{_settings.Endpoint}: the hub gives \"{commit}\" as the commit of {repository.Name}, which is none."
            );

        List<HubFile> files = [];
        Uri? page = new(_root, $"{repository.ApiPath}/tree/{commit}?recursive=true");
        while (page is not null)
        {
            var address = page;
            page = await Retried(
                $"the files of {repository.Name}",
                async _ =>
                {
                    using var response = await Send(HttpMethod.Get, address, null, cancellation);
                    Require(response, repository, revision, null);
                    using var document = JsonDocument.Parse(await response.Content.ReadAsStringAsync(cancellation));
                    files.AddRange(
                        document
                            .RootElement.EnumerateArray()
                            .Where(entry => entry.GetProperty("type").GetString() == "file")
                            .Select(entry => FileOf(entry).Checked(_settings.Endpoint))
                            .ToList()
                    );
                    return NextPage(response, address);
                },
                cancellation
            );
        }

        return new HubListing(commit, files);
    }

    /// <summary>Length and hash of a file as its own address tells them, which is what the hub's client names its content by.</summary>
    public async Task<HubFile> Head(HubRepository repository, string commit, HubFile listed, CancellationToken cancellation) =>
        await Retried(
            listed.Path,
            async _ =>
            {
                // The first answer counts: the storage that a large file is redirected to knows nothing of commits.
                using var response = await Send(
                    HttpMethod.Head,
                    new Uri(_root, repository.FilePath(commit, listed.Path)),
                    null,
                    cancellation,
                    storage: false
                );
                Require(response, repository, commit, listed.Path);
                if (Header(response, "X-Repo-Commit") is { } other && other != commit)
                    throw new UserInputException(
                        $"{_settings.Endpoint}: {listed.Path} of {repository.Name} was asked for at {commit} and offered at {other}; run "
                            + $"the command again."
                    );
                var size = Header(response, "X-Linked-Size") is { } linked
                    ? long.Parse(linked, CultureInfo.InvariantCulture)
                    : response.Content.Headers.ContentLength ?? listed.Size;
                var tag = Header(response, "X-Linked-Etag") ?? response.Headers.ETag?.Tag ?? Header(response, "ETag");
                var hash = tag is null ? listed.Hash : (tag.StartsWith("W/", StringComparison.Ordinal) ? tag[2..] : tag).Trim('"');
                return size == listed.Size
                    ? new HubFile(listed.Path, size, hash).Checked(_settings.Endpoint)
                    : throw new IOException(
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"the hub lists {listed.Path} with {listed.Size} bytes and offers {size}"
                        )
                    );
            },
            cancellation
        );

    /// <summary>
    /// The answer to a request for a file's bytes from a place on; the caller disposes it. The status is 200, 206 or 416.
    /// </summary>
    public async Task<HttpResponseMessage> Get(
        HubRepository repository,
        string commit,
        HubFile file,
        long from,
        CancellationToken cancellation
    )
    {
        var response = await Send(
            HttpMethod.Get,
            new Uri(_root, repository.FilePath(commit, file.Path)),
            from > 0 ? new RangeHeaderValue(from, null) : null,
            cancellation
        );
        try
        {
            if (response.StatusCode != HttpStatusCode.RequestedRangeNotSatisfiable) Require(response, repository, commit, file.Path);
            return response;
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Runs an action again after a fault that may pass. <paramref name="action"/> gets the number of the try and may say by
    /// <see cref="ProgressMadeException"/> that it got further.
    /// </summary>
    public async Task<T> Retried<T>(string what, Func<int, Task<T>> action, CancellationToken cancellation)
    {
        for (var failed = 0; ;)
        {
            try
            {
                return await action(failed);
            }
            catch (Exception error) when (IsPassing(error, cancellation))
            {
                if (error is ProgressMadeException) failed = 0;
                if (++failed > _settings.Retries)
                    throw new UserInputException(
                        $"{_settings.Endpoint}: {what}: {Reason(error)} (tried {failed} times). Check the connection and run the same "
                            + $"command again; what has arrived is kept.",
                        error
                    );
                var pause = Pause(failed, error);
                _log.Information(
                    string.Create(CultureInfo.InvariantCulture, $"{what}: {Reason(error)}; trying again in {pause.TotalSeconds:0.#} s")
                );
                await Task.Delay(pause, cancellation);
            }
            catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                throw new UserInputException(
                    $"{_settings.Endpoint}: {what}: the answer is not that of a hub ({error.Message.TrimEnd('.')}). Check the address "
                        + $"(--endpoint, HF_ENDPOINT).",
                    error
                );
            }
        }
    }

    private TimeSpan Pause(int failed, Exception error)
    {
        var pause = error is BusyException { After: { } asked } ? asked : _settings.FirstPause * Math.Pow(2, failed - 1);
        return pause < _settings.LongestPause ? pause : _settings.LongestPause;
    }

    private static bool IsPassing(Exception error, CancellationToken cancellation) => error switch
    {
        HttpRequestException or IOException => true,
        OperationCanceledException => !cancellation.IsCancellationRequested, // silence
        _ => false,
    };

    private static string Reason(Exception error) => error switch
    {
        OperationCanceledException => "nothing came for a while",
        HttpRequestException { InnerException: { } inner } => inner.Message.TrimEnd('.'),
        _ => error.Message.TrimEnd('.'),
    };

    // Follows redirects itself: relative ones stay on the hub (a renamed repository); others lead to a storage, which must not see the
    // token.
    private async Task<HttpResponseMessage> Send(
        HttpMethod method,
        Uri address,
        RangeHeaderValue? range,
        CancellationToken cancellation,
        bool storage = true
    )
    {
        for (var redirects = 0; redirects <= MostRedirects; redirects++)
        {
            using var request = new HttpRequestMessage(method, address);
            request.Headers.Range = range;
            request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
            if (
                _settings.Token is { } token
                && address.Authority == _settings.Endpoint.Authority
                && address.Scheme == _settings.Endpoint.Scheme
            )
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            silence.CancelAfter(_settings.Silence);
            var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, silence.Token);
            if ((int)response.StatusCode is not (301 or 302 or 303 or 307 or 308) || response.Headers.Location is not { } location)
                return response;
            var next = new Uri(address, location);
            if (!storage && next.Authority != address.Authority) return response;
            response.Dispose();
            address = next;
        }

        throw new UserInputException(
            $"{address}: more than {MostRedirects} redirects; check the address of the hub (--endpoint, HF_ENDPOINT)."
        );
    }

    private void Require(HttpResponseMessage response, HubRepository repository, string revision, string? file)
    {
        var status = (int)response.StatusCode;
        if (status is >= 200 and < 400)
            return;
        var what =
            $"{_settings.Endpoint}: {(repository.Type == HubRepositoryType.Model ? "model" : "data set")} "
                + $"{repository.Name}{(file is null ? "" : $", file {file}")}";
        var code = Header(response, "X-Error-Code");
        if (status is 401 or 403 && code == "GatedRepo")
            throw new UserInputException(
                $"{what}: it is shared only with people who accepted its terms. Accept them on its page, and give your token in HF_TOKEN."
            );
        if (status is 401 or 403)
            throw new UserInputException(
                _settings.Token is null
                    ? $"{what}: access was refused ({status}): there is no such repository, or it is private or gated. Check the name, "
                        + $"and give a token in HF_TOKEN if it needs one."
                    : $"{what}: access was refused ({status}) with the token of HF_TOKEN or the token file. Check the name, and whether "
                        + $"the token is valid and may read it."
            );
        if (status == 404)
            throw new UserInputException(
                code switch
                {
                    "RevisionNotFound" => $"{what}: there is no revision {revision}. Name a branch, tag or commit with --revision.",
                    "EntryNotFound" => $"{what}: there is no such file at {revision}.",
                    _ => $"{what}: not found at revision {revision}. Check name, --revision and --type.",
                }
            );
        if (status is 408 or 425 or 429 or >= 500)
            throw new BusyException(
                string.Create(CultureInfo.InvariantCulture, $"the server answered {status}{(status == 429 ? " (too many requests)" : "")}"),
                response.Headers.RetryAfter is { } after ? after.Delta ?? (after.Date - response.Headers.Date) : null
            );
        throw new UserInputException($"{what}: the server answered {status} {response.ReasonPhrase}.");
    }

    private static HubFile FileOf(JsonElement entry) =>
        entry.TryGetProperty("lfs", out var large) && large.ValueKind == JsonValueKind.Object
            ? new HubFile(
                entry.GetProperty("path").GetString()!,
                large.GetProperty("size").GetInt64(),
                large.GetProperty("oid").GetString()!.Replace("sha256:", "", StringComparison.Ordinal)
            )
            : new HubFile(
                entry.GetProperty("path").GetString()!,
                entry.GetProperty("size").GetInt64(),
                entry.GetProperty("oid").GetString()!
            );

    private static Uri? NextPage(HttpResponseMessage response, Uri page) =>
        Header(response, "Link") is { } links && LinkToNext().Match(links) is { Success: true } match
            ? new Uri(page, match.Groups[1].Value)
            : null;

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) || response.Content.Headers.TryGetValues(name, out values)
            ? values.First()
            : null;

    [GeneratedRegex("<([^>]+)>;\\s*rel=\"?next\"?")]
    private static partial Regex LinkToNext();

    [GeneratedRegex("^[0-9a-f]{40}$")]
    private static partial Regex Commit();

    /// <summary>The server asks to come back later.</summary>
    private sealed class BusyException(string message, TimeSpan? after) : IOException(message)
    {
        public TimeSpan? After { get; } = after < TimeSpan.Zero ? TimeSpan.Zero : after;
    }
}

/// <summary>A connection ended early, but bytes had come: the count of failures starts anew.</summary>
internal sealed class ProgressMadeException(string message, Exception? inner = null) : IOException(message, inner);
