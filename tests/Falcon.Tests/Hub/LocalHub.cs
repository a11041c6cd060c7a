using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Falcon.Tests.Hub;

/// <summary>What the local hub does wrong with a file's bytes.</summary>
internal sealed class Misbehaviour
{
    /// <summary>Answers with this status so many times before it behaves.</summary>
    public Queue<int> Statuses { get; } = new();

    /// <summary>Cuts the connection after so many bytes of the body, once for each entry.</summary>
    public Queue<int> Cuts { get; } = new();

    /// <summary>Added to the Content-Length of the body, always.</summary>
    public int LengthLie { get; set; }

    /// <summary>Added to the length in the answer to HEAD.</summary>
    public int HeadLie { get; set; }

    /// <summary>Sends the body in pieces without a length, with this many bytes more than there are.</summary>
    public int? ExtraBytes { get; set; }

    /// <summary>Ignores Range and sends the whole file.</summary>
    public bool IgnoresRange { get; set; }

    /// <summary>Sends other bytes of the same length, so many times.</summary>
    public int WrongContent { get; set; }

    /// <summary>Sends large files to a storage at another address.</summary>
    public Uri? Storage { get; set; }
}

/// <summary>
/// A hub on this machine that speaks the interface of the public one: revisions, pages of the file tree, HEAD and ranged GET of files with
/// the hub's headers, errors with the hub's codes. Plain sockets, so that it can break the rules of HTTP.
/// </summary>
internal sealed class LocalHub : IDisposable
{
    public const string Commit = "0123456789abcdef0123456789abcdef01234567";
    private const int PageLength = 2;

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();
    private readonly string _repository;
    private readonly SortedDictionary<string, (byte[] Content, bool IsLarge)> _files = new(StringComparer.Ordinal);

    /// <param name="repository">Path in addresses: <c>org/name</c>, of data sets <c>datasets/org/name</c>.</param>
    public LocalHub(string repository)
    {
        _repository = repository;
        _listener.Start();
        _ = Accept();
    }

    public Uri Address => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture)}");

    /// <summary>The token that is asked for; null for a public repository.</summary>
    public string? Token { get; set; }

    public Dictionary<string, Misbehaviour> Wrong { get; } = [];

    /// <summary>Every request: method, path, and the headers Range and Authorization.</summary>
    public ConcurrentQueue<(string Method, string Path, string? Range, string? Authorization)> Requests { get; } = new();

    public LocalHub Add(string path, byte[] content, bool isLarge = false)
    {
        _files[path] = (content, isLarge);
        return this;
    }

    public LocalHub Add(string path, string content) => Add(path, Encoding.UTF8.GetBytes(content));

    public static string Hash(byte[] content, bool isLarge) =>
        Convert.ToHexStringLower(isLarge ? SHA256.HashData(content) : GitHash(content));

#pragma warning disable CA5350 // git's own hash
    private static byte[] GitHash(byte[] content) => SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {content.Length}\0"), .. content]);
#pragma warning restore CA5350

    private async Task Accept()
    {
        while (!_end.IsCancellationRequested)
        {
            TcpClient client;
            try
            {
                client = await _listener.AcceptTcpClientAsync(_end.Token);
            }
            catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }

            _ = Task.Run(async () =>
            {
                using (client)
                {
                    try
                    {
                        await Serve(client.GetStream());
                    }
                    catch (Exception error) when (error is IOException or SocketException)
                    {
                        // the other side went away
                    }
                }
            });
        }
    }

    // One request a connection.
    private async Task Serve(NetworkStream stream)
    {
        using var reader = new StreamReader(stream, Encoding.ASCII, false, 1024, leaveOpen: true);
        var first = (await reader.ReadLineAsync())?.Split(' ');
        if (first is not { Length: 3 }) return;
        Dictionary<string, string> headers = new(StringComparer.OrdinalIgnoreCase);
        for (string? line; (line = await reader.ReadLineAsync()) is { Length: > 0 };)
            headers[line[..line.IndexOf(':', StringComparison.Ordinal)]] = line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
        var path = Uri.UnescapeDataString(first[1]);
        Requests.Enqueue((first[0], path, headers.GetValueOrDefault("Range"), headers.GetValueOrDefault("Authorization")));
        if (
            Token is not null
            && headers.GetValueOrDefault("Authorization") != $"Bearer {Token}"
            && !path.StartsWith("/storage/", StringComparison.Ordinal)
        )
        {
            await Answer(stream, 401, "Invalid username or password.", headers: "X-Error-Code: RepoNotFound\r\n");
            return;
        }

        await Route(stream, first[0], path, headers.GetValueOrDefault("Range"));
    }

    private async Task Route(NetworkStream stream, string method, string path, string? range)
    {
        var api = _repository.StartsWith("datasets/", StringComparison.Ordinal) ? $"/api/{_repository}" : $"/api/models/{_repository}";
        if (path.StartsWith($"{api}/revision/", StringComparison.Ordinal))
        {
            if (Wrong.TryGetValue("", out var wrong) && wrong.Statuses.TryDequeue(out var status))
                await Answer(stream, status, "busy", headers: "Retry-After: 0\r\n");
            else if (
                path.EndsWith("/main", StringComparison.Ordinal)
                || path.EndsWith(Commit, StringComparison.Ordinal)
                || path.EndsWith("/refs/pr/1", StringComparison.Ordinal)
            )
                await Answer(stream, 200, JsonSerializer.Serialize(new { id = _repository, sha = Commit }));
            else
                await Answer(stream, 404, "Invalid rev id", headers: "X-Error-Code: RevisionNotFound\r\n");
        }
        else if (path.StartsWith($"{api}/tree/{Commit}", StringComparison.Ordinal))
            await Tree(stream, path);
        else if (path.StartsWith($"/{_repository}/resolve/{Commit}/", StringComparison.Ordinal))
            await File(stream, method, path[$"/{_repository}/resolve/{Commit}/".Length..], range, isStorage: false);
        else if (path.StartsWith("/storage/", StringComparison.Ordinal))
            await File(stream, method, path["/storage/".Length..], range, isStorage: true);
        else
            await Answer(stream, 404, "Repository not found", headers: "X-Error-Code: RepoNotFound\r\n");
    }

    // In pages, with a link to the next one.
    private async Task Tree(NetworkStream stream, string path)
    {
        var begin = path.IndexOf("cursor=", StringComparison.Ordinal) is >= 0 and var at
            ? int.Parse(path[(at + "cursor=".Length)..], CultureInfo.InvariantCulture)
            : 0;
        var entries = _files
            .Select(file =>
                file.Value.IsLarge
                    ? (object)
                        new
                        {
                            type = "file",
                            oid = Hash(Encoding.ASCII.GetBytes("pointer"), false),
                            size = file.Value.Content.Length,
                            path = file.Key,
                            lfs = new
                            {
                                oid = Hash(file.Value.Content, true),
                                size = file.Value.Content.Length,
                                pointerSize = 130,
                            },
                        }
                    : new
                    {
                        type = "file",
                        oid = Hash(file.Value.Content, false),
                        size = file.Value.Content.Length,
                        path = file.Key,
                    }
            )
            .Prepend(
                new
                {
                    type = "directory",
                    oid = Commit,
                    size = 0,
                    path = "folder",
                }
            )
            .ToList();
        var next =
            begin + PageLength < entries.Count
                ? $"Link: <{Address.ToString().TrimEnd('/')}{path.Split('?')[0]}?recursive=true&cursor={begin + PageLength}>; "
                    + $"rel=\"next\"\r\n"
                : "";
        await Answer(stream, 200, JsonSerializer.Serialize(entries.Skip(begin).Take(PageLength)), headers: next);
    }

    private async Task File(NetworkStream stream, string method, string path, string? range, bool isStorage)
    {
        if (!_files.TryGetValue(path, out var file))
        {
            await Answer(stream, 404, "Entry not found", headers: "X-Error-Code: EntryNotFound\r\n");
            return;
        }

        var wrong = Wrong.GetValueOrDefault(path) ?? new Misbehaviour();
        var hash = Hash(file.Content, file.IsLarge);
        var about =
            $"X-Repo-Commit: {Commit}\r\n"
            + (
                file.IsLarge
                    ? $"X-Linked-Etag: \"{hash}\"\r\nX-Linked-Size: {file.Content.Length + wrong.HeadLie}\r\nETag: \"storage\"\r\n"
                    : $"ETag: W/\"{hash}\"\r\n"
            );
        if (method == "GET" && wrong.Statuses.TryDequeue(out var status))
            await Answer(stream, status, "later", headers: status == 429 ? "Retry-After: 0\r\n" : "");
        else if (file.IsLarge && !isStorage && wrong.Storage is { } storage)
            await Answer(stream, 302, "", headers: about + $"Location: {storage}storage/{path}\r\n", head: method == "HEAD");
        else if (method == "HEAD")
            await Write(
                stream,
                $"HTTP/1.1 200 OK\r\n{about}Content-Length: {(file.IsLarge ? 0 : file.Content.Length + wrong.HeadLie)}\r\nConnection: "
                    + $"close\r\n\r\n"
            );
        else
            await Body(stream, file.Content, range, wrong);
    }

    private static async Task Body(NetworkStream stream, byte[] content, string? range, Misbehaviour wrong)
    {
        var begin = range is null || wrong.IgnoresRange ? 0 : int.Parse(range["bytes=".Length..^1], CultureInfo.InvariantCulture);
        if (begin >= content.Length && content.Length > 0)
        {
            await Answer(stream, 416, "");
            return;
        }

        var bytes = content[begin..];
        if (wrong.WrongContent > 0)
        {
            wrong.WrongContent--;
            bytes = [.. bytes.Select(value => (byte)~value)];
        }

        var line =
            begin > 0
                ? $"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {begin}-{content.Length - 1}/{content.Length}\r\n"
                : "HTTP/1.1 200 OK\r\n";
        if (wrong.ExtraBytes is { } extra) // no length: the end of the connection is the end of the body
        {
            await Write(stream, line + "Connection: close\r\n\r\n");
            await stream.WriteAsync((byte[])[.. bytes, .. new byte[extra]]);
            return;
        }

        await Write(stream, line + $"Content-Length: {bytes.Length + wrong.LengthLie}\r\nConnection: close\r\n\r\n");
        if (wrong.Cuts.TryDequeue(out var cut)) bytes = bytes[..Math.Min(cut, bytes.Length)];
        await stream.WriteAsync(bytes);
    }

    private static async Task Answer(NetworkStream stream, int status, string text, string headers = "", bool head = false)
    {
        await Write(
            stream,
            $"HTTP/1.1 {status} {(HttpStatusCode)status}\r\n{headers}Content-Length: {Encoding.UTF8.GetByteCount(text)}\r\nConnection: "
                + $"close\r\n\r\n{(head ? "" : text)}"
        );
    }

    private static async Task Write(NetworkStream stream, string text) => await stream.WriteAsync(Encoding.UTF8.GetBytes(text));

    public void Dispose()
    {
        _end.Cancel();
        _listener.Dispose();
    }
}
