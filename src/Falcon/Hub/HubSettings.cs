namespace Falcon.Hub;

/// <summary>Where a hub is, how to sign in, and where its files are kept.</summary>
/// <param name="Endpoint">Address of the hub without a slash at the end.</param>
/// <param name="Token">Access token; null for none.</param>
/// <param name="CacheDirectory">The cache that the hub's own client uses too.</param>
public sealed record HubSettings(Uri Endpoint, string? Token, string CacheDirectory)
{
    /// <summary>The public hub.</summary>
    public const string DefaultEndpoint = "https://huggingface.co";

    /// <summary>How often a request is tried again without any progress in between.</summary>
    public int Retries { get; init; } = 5;

    /// <summary>Pause before the first retry; each further one doubles it, up to <see cref="LongestPause"/>.</summary>
    public TimeSpan FirstPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest pause before a retry, also where the server asks for more.</summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A connection that brings nothing for so long counts as cut.</summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// The settings as the hub's own client finds them: <c>HF_ENDPOINT</c>; <c>HF_TOKEN</c>, else the file <c>HF_TOKEN_PATH</c>, else
    /// <c>HF_HOME/token</c>; <c>HF_HUB_CACHE</c>, else <c>HF_HOME/hub</c>; <c>HF_HOME</c> is <c>~/.cache/huggingface</c> where it is not
    /// set.
    /// </summary>
    /// <param name="variable">Gives an environment variable; null for those of the process.</param>
    /// <exception cref="Runtime.UserInputException">HF_ENDPOINT is no web address.</exception>
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
    /// <exception cref="Runtime.UserInputException">It is no web address.</exception>
    public static Uri ParseEndpoint(string text, string source) =>
        Uri.TryCreate(text.TrimEnd('/'), UriKind.Absolute, out var address) && address.Scheme is ("http" or "https")
            ? address
            : throw new Runtime.UserInputException($"{source} is '{text}'; it must be a web address such as {DefaultEndpoint}.");
}
