using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Hub;

/// <summary>Reads what a hub answers: its status, its headers, its list of files.</summary>
internal static partial class HubResponses
{
    /// <summary>Turns a status other than success or redirect into an error that says what to do.</summary>
    /// <param name="response">The answer.</param>
    /// <param name="settings">The hub that was asked.</param>
    /// <param name="repository">The repository that was asked for.</param>
    /// <param name="revision">The revision that was asked for.</param>
    /// <param name="file">The file that was asked for; null for the repository as a whole.</param>
    /// <exception cref="UserInputException">The request is refused, or there is no such thing.</exception>
    /// <exception cref="BusyException">The same request may succeed later.</exception>
    public static void Require(HttpResponseMessage response, HubSettings settings, HubRepository repository, string revision, string? file)
    {
        var status = (int)response.StatusCode;
        if (status is >= 200 and < 400) return;
        var kind = repository.Type == HubRepositoryType.Model ? "model" : "data set";
        var what = $"{settings.Endpoint}: {kind} {repository.Name}{(file is null ? "" : $", file {file}")}";
        var code = Header(response, "X-Error-Code");
        Exception error = status switch
        {
            401 or 403 => Refused(what, status, isGated: code == "GatedRepo", hasToken: settings.Token is not null),
            404 => new UserInputException(
                code switch
                {
                    "RevisionNotFound" => $"{what}: there is no revision {revision}. Name a branch, tag or commit with --revision.",
                    "EntryNotFound" => $"{what}: there is no such file at {revision}. Check the name.",
                    _ => $"{what}: not found at revision {revision}. Check name, --revision and --type.",
                }
            ),
            408 or 425 or 429 or >= 500 => new BusyException(
                string.Create(CultureInfo.InvariantCulture, $"the server answered {status}{(status == 429 ? " (too many requests)" : "")}"),
                response.Headers.RetryAfter is { } after ? after.Delta ?? (after.Date - response.Headers.Date) : null
            ),
            _ => new UserInputException(
                $"{what}: the server answered {status} {response.ReasonPhrase}. Check name, --revision and --type."
            ),
        };
        throw error;
    }

    /// <summary>One file of a listing.</summary>
    public static HubFile FileOf(JsonElement entry)
    {
        var path = entry.GetProperty("path").GetString()!;
        return entry.TryGetProperty("lfs", out var large) && large.ValueKind == JsonValueKind.Object
            ? new HubFile(path, large.GetProperty("size").GetInt64(), WithoutPrefix(large.GetProperty("oid").GetString()!))
            : new HubFile(path, entry.GetProperty("size").GetInt64(), entry.GetProperty("oid").GetString()!);
    }

    /// <summary>The address of the next page of a listing; null after the last.</summary>
    public static Uri? NextPage(HttpResponseMessage response, Uri page) =>
        Header(response, "Link") is { } links && LinkToNext().Match(links) is { Success: true } match
            ? new Uri(page, match.Groups[1].Value)
            : null;

    /// <summary>The first value of a header; null when there is none.</summary>
    public static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) || response.Content.Headers.TryGetValues(name, out values)
            ? values.First()
            : null;

    private static UserInputException Refused(string what, int status, bool isGated, bool hasToken)
    {
        if (isGated)
            return new($"{what}: access requires accepting its terms. Accept them on its page, and give your token in HF_TOKEN.");
        return new(
            hasToken
                ? $"{what}: access was refused ({status}) with the token of HF_TOKEN or the token file. "
                    + "Check the name, and whether the token is valid and may read it."
                : $"{what}: access was refused ({status}): there is no such repository, or it is private or gated. "
                    + "Check the name, and give a token in HF_TOKEN if it needs one."
        );
    }

    private static string WithoutPrefix(string hash) => hash.Replace("sha256:", "", StringComparison.Ordinal);

    [GeneratedRegex("<([^>]+)>;\\s*rel=\"?next\"?")]
    private static partial Regex LinkToNext();
}
