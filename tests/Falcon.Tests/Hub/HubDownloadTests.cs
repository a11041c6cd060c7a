using Falcon.Data;
using Falcon.Hub;
using Falcon.Runtime;

namespace Falcon.Tests.Hub;

/// <summary>Downloads from a hub on this machine that behaves, cuts connections, lies about lengths and refuses.</summary>
public sealed class HubDownloadTests : IDisposable
{
    private const string Name = "someone/tiny";
    private const string Weights = "model.safetensors";

    private readonly TemporaryFolder _folder = new();
    private readonly LocalHub _hub = new(Name);
    private readonly byte[] _weights = [.. Enumerable.Range(0, 300_000).Select(i => (byte)(i * 31 % 251))];

    public HubDownloadTests() =>
        _hub.Add("config.json", "{}\n")
            .Add("sub/notes.txt", "deep")
            .Add("pytorch_model.bin", "the same again")
            .Add(Weights, _weights, isLarge: true)
            .Add("empty.txt", "");

    public void Dispose()
    {
        _hub.Dispose();
        _folder.Dispose();
    }

    private HubSettings Settings =>
        new(_hub.Address, null, _folder.At("cache"))
        {
            FirstPause = TimeSpan.FromMilliseconds(1),
            Silence = TimeSpan.FromSeconds(5),
            Retries = 3,
        };

    private static HubRequest Request => new(new HubRepository(HubRepositoryType.Model, Name));

    private string Blob(string hash) => _folder.At("cache", "models--someone--tiny", "blobs", hash);

    private Misbehaviour Misbehave(string path) => _hub.Wrong[path] = new Misbehaviour();

    private string Fails(HubRequest? request = null, HubSettings? settings = null) =>
        Assert
            .Throws<UserInputException>(() => HubDownload.Execute(request ?? Request, settings ?? Settings, SilentRunLog.Instance))
            .Message;

    [Fact]
    public void Cache_HasTheLayoutOfTheHubsOwnClient()
    {
        var result = HubDownload.Execute(Request, Settings, SilentRunLog.Instance);

        var root = _folder.At("cache", "models--someone--tiny");
        Assert.Equal(Path.Combine(root, "snapshots", LocalHub.Commit), result.Directory);
        Assert.Equal(LocalHub.Commit, File.ReadAllText(Path.Combine(root, "refs", "main")));
        Assert.Equal(["config.json", "empty.txt", Weights, "sub/notes.txt"], result.Files.Select(file => file.Path)); // the pickle copy is left out
        Assert.Equal(["pytorch_model.bin"], result.LeftOut);
        Assert.Equal(_weights, File.ReadAllBytes(Path.Combine(result.Directory, Weights)));
        Assert.Equal("deep", File.ReadAllText(Path.Combine(result.Directory, "sub", "notes.txt")));
        Assert.Equal(_weights, File.ReadAllBytes(Blob(LocalHub.Hash(_weights, isLarge: true))));
        Assert.Equal("{}\n", File.ReadAllText(Blob(LocalHub.Hash("{}\n"u8.ToArray(), isLarge: false))));
        Assert.Equal(_weights.Length, Assert.Single(ContentHash.OfModel(result.Directory).Files).Bytes); // of the content, not of the link
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(
                $"../../blobs/{LocalHub.Hash(_weights, isLarge: true)}",
                new FileInfo(Path.Combine(result.Directory, Weights)).LinkTarget
            );
            Assert.Equal(
                $"../../../blobs/{LocalHub.Hash("deep"u8.ToArray(), isLarge: false)}",
                new FileInfo(Path.Combine(result.Directory, "sub", "notes.txt")).LinkTarget
            );
        }

        Assert.DoesNotContain(Directory.EnumerateFiles(root, "*.incomplete", SearchOption.AllDirectories), _ => true);
    }

    [Fact]
    public void SecondDownload_FetchesNothing()
    {
        HubDownload.Execute(Request, Settings, SilentRunLog.Instance);
        _hub.Requests.Clear();

        Assert.Equal(0, HubDownload.Execute(Request, Settings, SilentRunLog.Instance).Fetched);
        Assert.All(_hub.Requests, request => Assert.StartsWith("/api/", request.Path, StringComparison.Ordinal));
    }

    [Fact]
    public void CutConnections_AreResumedWhereTheyEnded()
    {
        foreach (var cut in new[] { 1000, 150_000, 40_000, 0, 1, 1, 50_000 })
            Misbehaved(Weights).Cuts.Enqueue(cut); // more cuts than retries: each brings something

        var result = HubDownload.Execute(Request, Settings, SilentRunLog.Instance);

        Assert.Equal(_weights, File.ReadAllBytes(Path.Combine(result.Directory, Weights)));
        Assert.Equal(
            [null, "bytes=1000-", "bytes=151000-"],
            _hub.Requests.Where(request => request.Method == "GET" && request.Path.EndsWith(Weights, StringComparison.Ordinal))
                .Select(request => request.Range)
                .Take(3)
        );
    }

    private Misbehaviour Misbehaved(string path) => _hub.Wrong.GetValueOrDefault(path) ?? Misbehave(path);

    [Fact]
    public void CutForGood_KeepsWhatArrived_AndTheNextCommandGoesOn()
    {
        Misbehave(Weights).Cuts.Enqueue(100_000);
        for (var i = 0; i < 3; i++) Misbehaved(Weights).Cuts.Enqueue(0);
        Assert.Contains("what has arrived is kept", Fails(), StringComparison.Ordinal);
        Assert.Equal(100_000, new FileInfo(Blob(LocalHub.Hash(_weights, isLarge: true)) + ".incomplete").Length);
        Assert.False(File.Exists(_folder.At("cache", "models--someone--tiny", "snapshots", LocalHub.Commit, Weights)));
        _hub.Requests.Clear();

        HubDownload.Execute(Request, Settings, SilentRunLog.Instance);

        Assert.Equal(
            "bytes=100000-",
            Assert
                .Single(_hub.Requests, request => request.Method == "GET" && request.Path.EndsWith(Weights, StringComparison.Ordinal))
                .Range
        );
        Assert.Equal(_weights, File.ReadAllBytes(Blob(LocalHub.Hash(_weights, isLarge: true))));
    }

    [Fact]
    public void RangeIgnored_StartsOverAndIsRight()
    {
        Misbehave(Weights).Cuts.Enqueue(1000);
        Misbehaved(Weights).IgnoresRange = true;
        Assert.Equal(
            _weights,
            File.ReadAllBytes(Path.Combine(HubDownload.Execute(Request, Settings, SilentRunLog.Instance).Directory, Weights))
        );
    }

    [Theory]
    [InlineData(10)]
    [InlineData(-10)]
    public void Lengths_ThatLie_AreRefused(int lie)
    {
        Misbehave(Weights).LengthLie = lie;
        Assert.Contains("announces", Fails(), StringComparison.Ordinal);
        Misbehave(Weights).HeadLie = lie;
        Assert.Contains($"300000 bytes and offers {300000 + lie}", Fails(), StringComparison.Ordinal);
        Misbehave("config.json").HeadLie = lie > 0 ? lie : -2;
        Assert.Contains(
            "3 bytes and offers",
            Fails(settings: Settings with { CacheDirectory = _folder.At("other") }),
            StringComparison.Ordinal
        );
        Assert.False(File.Exists(Blob(LocalHub.Hash(_weights, isLarge: true))));
    }

    [Fact]
    public void BodyLongerThanTheFile_IsThrownAway()
    {
        Misbehave(Weights).ExtraBytes = 5;
        Assert.Contains("more than the 300000 bytes", Fails(), StringComparison.Ordinal);
        Misbehave(Weights).ExtraBytes = 0; // a body without a stated length is fine when it ends right
        HubDownload.Execute(Request, Settings, SilentRunLog.Instance);
        Assert.Equal(_weights, File.ReadAllBytes(Blob(LocalHub.Hash(_weights, isLarge: true))));
    }

    [Theory]
    [InlineData(Weights)]
    [InlineData("config.json")]
    public void WrongContent_IsFetchedAgainOnce_ThenRefused(string path)
    {
        Misbehave(path).WrongContent = 1;
        HubDownload.Execute(Request, Settings, SilentRunLog.Instance);
        Misbehaved(path).WrongContent = 2;
        Assert.Contains(
            "does not match its hash",
            Fails(settings: Settings with { CacheDirectory = _folder.At("other") }),
            StringComparison.Ordinal
        );
        Assert.DoesNotContain(Directory.EnumerateFiles(_folder.At("other"), "*.incomplete", SearchOption.AllDirectories), _ => true);
    }

    [Theory]
    [InlineData(429)]
    [InlineData(503)]
    [InlineData(500)]
    public void BusyServer_IsAskedAgain_ThenGivenUp(int status)
    {
        for (var i = 0; i < 3; i++) Misbehaved(Weights).Statuses.Enqueue(status);
        Misbehave("").Statuses.Enqueue(status);
        HubDownload.Execute(Request, Settings, SilentRunLog.Instance);

        for (var i = 0; i < 4; i++) Misbehaved("").Statuses.Enqueue(status);
        Assert.Contains($"the server answered {status}", Fails(), StringComparison.Ordinal);
    }

    [Fact]
    public void Token_IsSentToTheHub_AndToNoOtherHost()
    {
        using var storage = new LocalHub("storage").Add(Weights, _weights, isLarge: true);
        Misbehave(Weights).Storage = storage.Address;
        _hub.Token = "hf_secret";

        Assert.Contains("access was refused (401): there is no such repository, or it is private", Fails(), StringComparison.Ordinal);
        Assert.Contains("with the token", Fails(settings: Settings with { Token = "hf_wrong" }), StringComparison.Ordinal);
        var result = HubDownload.Execute(Request, Settings with { Token = "hf_secret" }, SilentRunLog.Instance);

        Assert.Equal(_weights, File.ReadAllBytes(Path.Combine(result.Directory, Weights)));
        Assert.NotEmpty(storage.Requests);
        Assert.All(storage.Requests, request => Assert.Null(request.Authorization));
    }

    [Fact]
    public void Unknown_RepositoryRevisionAndPattern_AreNamed()
    {
        Assert.Contains(
            "someone/other: not found",
            Fails(new HubRequest(new HubRepository(HubRepositoryType.Model, "someone/other"))),
            StringComparison.Ordinal
        );
        Assert.Contains("there is no revision v9", Fails(Request with { Revision = "v9" }), StringComparison.Ordinal);
        Assert.Contains("none of its 5 files", Fails(Request with { Include = ["*.gguf"] }), StringComparison.Ordinal);
        Assert.Contains("no branch, tag or commit", Fails(Request with { Revision = "../x" }), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("cache")));
    }

    [Fact]
    public void Revision_OfAPullRequest_HasItsOwnReference()
    {
        HubDownload.Execute(Request with { Revision = "refs/pr/1", Include = ["config.json"] }, Settings, SilentRunLog.Instance);
        Assert.Equal(LocalHub.Commit, File.ReadAllText(_folder.At("cache", "models--someone--tiny", "refs", "refs", "pr", "1")));
    }

    [Fact]
    public void NoServer_SaysSo()
    {
        var settings = Settings;
        _hub.Dispose();
        Assert.Contains("Check the connection", Fails(settings: settings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../evil.json")]
    [InlineData("a/../../evil")]
    [InlineData("/etc/evil")]
    [InlineData("a\\b")]
    public void HostilePaths_AreRefused(string path)
    {
        _hub.Add(path, "x");
        Assert.Contains("no path inside a repository", Fails(), StringComparison.Ordinal);
    }

    [Fact]
    public void AnswerOfSomethingElse_IsNamed()
    {
        Misbehave("").Statuses.Enqueue(200); // "busy" is no JSON
        Assert.Contains("not that of a hub", Fails(), StringComparison.Ordinal);
    }

    [Fact]
    public void Out_IsADirectoryOfItsOwn_AndGoesOnAfterAnInterruption()
    {
        using var interruption = new CancellationTokenSource();
        Misbehave(Weights).Cuts.Enqueue(100_000);
        var log = new InterruptingLog("the connection was cut", interruption);
        var request = Request with { Out = _folder.At("model") };
        Assert.ThrowsAny<OperationCanceledException>(() => HubDownload.Execute(request, Settings, log, interruption.Token));
        Assert.False(Directory.Exists(_folder.At("model")));
        _hub.Requests.Clear();

        var result = HubDownload.Execute(request, Settings, SilentRunLog.Instance);

        Assert.Equal(_folder.At("model"), result.Directory);
        Assert.Equal(
            ["config.json", "empty.txt", "model.safetensors", "sub"],
            Directory.EnumerateFileSystemEntries(_folder.At("model")).Select(entry => Path.GetFileName(entry)).Order(StringComparer.Ordinal)
        );
        Assert.Equal(
            "bytes=100000-",
            Assert.Single(_hub.Requests, asked => asked.Method == "GET" && asked.Path.Contains("/resolve/", StringComparison.Ordinal)).Range
        );
        Assert.Contains("exists", Fails(request), StringComparison.Ordinal);
    }

    [Fact]
    public void DataSet_ByItsBenchmarksName_IsReadAsTheHubServesIt()
    {
        using var hub = new LocalHub("datasets/locuslab/TOFU")
            .Add("forget01.json", "{\"question\": \"Who?\", \"answer\": \"She.\"}\n{\"question\": \"When?\", \"answer\": \"Then.\"}\n")
            .Add("README.md", "---\n---\n");
        var run = Cli.CommandRun.Of(
            "download",
            "tofu",
            "--type",
            "dataset",
            "--include",
            "*.json",
            "--endpoint",
            hub.Address.ToString(),
            "--out",
            _folder.At("tofu")
        );
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        Assert.Equal(["She.", "Then."], Corpus.Read(_folder.At("tofu", "forget01.json")).Select(record => record.Answer));
        Assert.StartsWith(_folder.At("tofu") + Environment.NewLine, run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_ComeFromTheHubsVariables()
    {
        File.WriteAllText(_folder.At("token"), "hf_file\n");
        Dictionary<string, string> variables = new() { ["HF_HOME"] = _folder.Path };
        HubSettings Read() => HubSettings.FromEnvironment(name => variables.GetValueOrDefault(name));
        Assert.Equal(
            ("hf_file", _folder.At("hub"), "https://huggingface.co/"),
            (Read().Token, Read().CacheDirectory, Read().Endpoint.ToString())
        );
        (variables["HF_TOKEN"], variables["HF_HUB_CACHE"], variables["HF_ENDPOINT"]) = ("hf_env", "/elsewhere", "http://localhost:8080/");
        Assert.Equal(("hf_env", "/elsewhere", "localhost"), (Read().Token, Read().CacheDirectory, Read().Endpoint.Host));
        variables["HF_ENDPOINT"] = "nowhere";
        Assert.Contains("HF_ENDPOINT", Assert.Throws<UserInputException>(Read).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("org/name", true)]
    [InlineData("gpt2", true)]
    [InlineData("a/b/c", false)]
    [InlineData("../x", false)]
    [InlineData("a--b/c", false)]
    [InlineData("", false)]
    public void Names_OfRepositories(string name, bool valid)
    {
        if (valid) Assert.Equal(name, HubRepository.Parse(name, HubRepositoryType.Model).Name);
        else Assert.Throws<UserInputException>(() => HubRepository.Parse(name, HubRepositoryType.Model));
    }

    [Theory]
    [InlineData("a/b.json", "*.json", true)]
    [InlineData("a/b.json", "b.json", false)]
    [InlineData("forget10.json", "forget1?.json", true)]
    [InlineData("x1", "x[12]", true)]
    [InlineData("x3", "x[!12]", true)]
    [InlineData("x(1", "x(1", true)]
    [InlineData("x\n", "x", false)]
    public void Patterns_AreThoseOfTheHubsClient(string path, string pattern, bool fits) =>
        Assert.Equal(fits, FileSelection.Matches(path, pattern));

    private sealed class InterruptingLog(string at, CancellationTokenSource interruption) : IRunLog
    {
        public void Information(string message)
        {
            if (message.Contains(at, StringComparison.Ordinal)) interruption.Cancel();
        }

        public void Warning(string message) { }

        public void Progress(string stage, int done, int total, string? status = null) { }
    }
}
