using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Hub;

/// <summary>
/// Requests to a hub: the files of a revision, the length and hash of a file, the bytes of a file from a given position. The token is sent
/// to the hub's own host and never to a host that it redirects to.
/// </summary>
internal sealed partial class HubClient : IDisposable
{
    private const int MostRedirects = 8;

    private readonly HubSettings _settings;
    private readonly HttpClient _http;
    private readonly Uri _root;

    public HubClient(HubSettings settings, IRunLog log)
    {
        (_settings, _root) = (settings, new Uri(settings.Endpoint.AbsoluteUri.TrimEnd('/') + "/"));
        Retry = new HubRetry(settings, log);
        _http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = settings.Silence })
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
        _http.DefaultRequestHeaders.UserAgent.Add(
            new ProductInfoHeaderValue("falcon-unlearning", typeof(HubClient).Assembly.GetName().Version!.ToString(3))
        );
    }

    public HubSettings Settings => _settings;

    public HubRetry Retry { get; }

    public void Dispose() => _http.Dispose();

    /// <summary>The commit of a revision and its files.</summary>
    public async Task<HubListing> List(HubRepository repository, string revision, CancellationToken cancellation)
    {
        var address = new Uri(_root, $"{repository.ApiPath}/revision/{Uri.EscapeDataString(revision)}");
        var commit = await Retry.Run(
            $"the revision {revision} of {repository.Name}",
            async () =>
            {
                using var response = await Send(HttpMethod.Get, address, null, cancellation);
                using var document = await ReadJson(response, repository, revision, cancellation);
                return document.RootElement.GetProperty("sha").GetString()!;
            },
            cancellation
        );
        if (!Commit().IsMatch(commit))
            throw new UserInputException(
                $"{_settings.Endpoint}: the hub gives \"{commit}\" as the commit of {repository.Name}, which is not a commit. "
                    + "Check the address (--endpoint, HF_ENDPOINT)."
            );

        List<HubFile> files = [];
        for (Uri? page = new(_root, $"{repository.ApiPath}/tree/{commit}?recursive=true"); page is not null;)
        {
            var current = page;
            page = await Retry.Run(
                $"the files of {repository.Name}",
                async () =>
                {
                    using var response = await Send(HttpMethod.Get, current, null, cancellation);
                    using var document = await ReadJson(response, repository, revision, cancellation);
                    List<HubFile> added =
                    [
                        .. document.RootElement.EnumerateArray()
                            .Where(entry => entry.GetProperty("type").GetString() == "file")
                            .Select(entry => HubResponses.FileOf(entry).Checked(_settings.Endpoint)),
                    ];
                    files.AddRange(added);
                    return HubResponses.NextPage(response, current);
                },
                cancellation
            );
        }

        return new HubListing(commit, files);
    }

    /// <summary>The length and hash of a file as its own address states them; the hub's client names cached content by this hash.</summary>
    public async Task<HubFile> Head(HubRepository repository, string commit, HubFile listed, CancellationToken cancellation) =>
        await Retry.Run(
            listed.Path,
            async () =>
            {
                // The hub's own answer counts: the storage that it redirects large files to knows nothing of commits.
                var address = new Uri(_root, repository.FilePath(commit, listed.Path));
                using var response = await Send(HttpMethod.Head, address, null, cancellation, storage: false);
                HubResponses.Require(response, _settings, repository, commit, listed.Path);
                if (HubResponses.Header(response, "X-Repo-Commit") is { } other && other != commit)
                    throw new UserInputException(
                        $"{_settings.Endpoint}: {listed.Path} of {repository.Name} was requested at {commit} and offered at {other}. "
                            + "Run the command again."
                    );
                var size = HubResponses.Header(response, "X-Linked-Size") is { } linked
                    ? long.Parse(linked, CultureInfo.InvariantCulture)
                    : response.Content.Headers.ContentLength ?? listed.Size;
                if (size != listed.Size)
                    throw new IOException(
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"the hub lists {listed.Path} with {listed.Size} bytes and offers {size}"
                        )
                    );
                var tag = HubResponses.Header(response, "X-Linked-Etag")
                    ?? response.Headers.ETag?.Tag
                    ?? HubResponses.Header(response, "ETag");
                return new HubFile(listed.Path, size, tag is null ? listed.Hash : HashOf(tag)).Checked(_settings.Endpoint);
            },
            cancellation
        );

    /// <summary>
    /// Requests the bytes of a file from a position on; the caller disposes the answer, whose status is 200, 206 or 416.
    /// </summary>
    public async Task<HttpResponseMessage> Get(
        HubRepository repository,
        string commit,
        HubFile file,
        long from,
        CancellationToken cancellation
    )
    {
        var address = new Uri(_root, repository.FilePath(commit, file.Path));
        var response = await Send(HttpMethod.Get, address, from > 0 ? new RangeHeaderValue(from, null) : null, cancellation);
        try
        {
            if (response.StatusCode != HttpStatusCode.RequestedRangeNotSatisfiable)
                HubResponses.Require(response, _settings, repository, commit, file.Path);
            return response;
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    private async Task<JsonDocument> ReadJson(
        HttpResponseMessage response,
        HubRepository repository,
        string revision,
        CancellationToken cancellation
    )
    {
        HubResponses.Require(response, _settings, repository, revision, null);
        return JsonDocument.Parse(await response.Content.ReadAsStringAsync(cancellation));
    }

    // Follows redirects itself. A relative one stays on the hub (a renamed repository); others lead to a storage, which must not see the
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
            if (_settings.Token is { } token && IsHub(address))
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
            $"{address}: more than {MostRedirects} redirects. Check the address of the hub (--endpoint, HF_ENDPOINT)."
        );
    }

    private bool IsHub(Uri address) =>
        address.Authority == _settings.Endpoint.Authority && address.Scheme == _settings.Endpoint.Scheme;

    private static string HashOf(string tag) => (tag.StartsWith("W/", StringComparison.Ordinal) ? tag[2..] : tag).Trim('"');

    [GeneratedRegex("^[0-9a-f]{40}$")]
    private static partial Regex Commit();
}
