namespace Falcon.Hub;

/// <summary>The address of a hub, the access token and the cache directory.</summary>
/// <param name="Endpoint">Address of the hub without a trailing slash.</param>
/// <param name="Token">Access token; null for none.</param>
/// <param name="CacheDirectory">The cache, shared with the hub's own client.</param>
public sealed record HubSettings(Uri Endpoint, string? Token, string CacheDirectory)
{
    /// <summary>The public hub.</summary>
    public const string DefaultEndpoint = "https://huggingface.co";

    /// <summary>How often a request is repeated without progress in between.</summary>
    public int Retries { get; init; } = 5;

    /// <summary>Pause before the first retry; it doubles with each further one, up to <see cref="LongestPause"/>.</summary>
    public TimeSpan FirstPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest pause before a retry, even if the server asks for more.</summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A connection without data for this long counts as cut.</summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// The settings as the hub's own client finds them. The address is <c>HF_ENDPOINT</c>; the token is <c>HF_TOKEN</c>, or else in the
    /// file <c>HF_TOKEN_PATH</c>, or else in <c>HF_HOME/token</c>; the cache is <c>HF_HUB_CACHE</c>, or else <c>HF_HOME/hub</c>. The
    /// default of <c>HF_HOME</c> is <c>~/.cache/huggingface</c>.
    /// </summary>
    /// <param name="variable">Reads an environment variable; null for those of the process.</param>
    /// <exception cref="Runtime.UserInputException">HF_ENDPOINT is not a web address.</exception>
    public static HubSettings FromEnvironment(Func<string, string?>? variable = null)
    {
        string? Get(string name) => (variable ?? Environment.GetEnvironmentVariable)(name) is { Length: > 0 } value ? value.Trim() : null;
        var user = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        var home = Get("HF_HOME") ?? Path.Combine(Get("XDG_CACHE_HOME") ?? Path.Combine(user, ".cache"), "huggingface");
        var tokenFile = Get("HF_TOKEN_PATH") ?? Path.Combine(home, "token");
        var token = Get("HF_TOKEN")
            ?? Get("HUGGING_FACE_HUB_TOKEN")
            ?? (File.Exists(tokenFile) && File.ReadAllText(tokenFile).Trim() is { Length: > 0 } written ? written : null);
        return new HubSettings(
            ParseEndpoint(Get("HF_ENDPOINT") ?? DefaultEndpoint, "HF_ENDPOINT"),
            token,
            Get("HF_HUB_CACHE") ?? Get("HUGGINGFACE_HUB_CACHE") ?? Path.Combine(home, "hub")
        );
    }

    /// <summary>Reads the address of a hub.</summary>
    /// <param name="text">The address.</param>
    /// <param name="source">Where it was given, for the message.</param>
    /// <exception cref="Runtime.UserInputException">It is not a web address.</exception>
    public static Uri ParseEndpoint(string text, string source) =>
        Uri.TryCreate(text.TrimEnd('/'), UriKind.Absolute, out var address) && address.Scheme is ("http" or "https")
            ? address
            : throw new Runtime.UserInputException($"{source} is '{text}'; it must be a web address such as {DefaultEndpoint}.");
}
