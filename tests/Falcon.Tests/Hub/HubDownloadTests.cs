using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Hub;
using Falcon.Runtime;

namespace Falcon.Tests.Hub;

/// <summary>Downloads into the cache or a directory, access tokens, names, revisions and patterns.</summary>
public sealed class HubDownloadTests : HubTest
{
    [Fact]
    public void Cache_HasTheLayoutOfTheHubsOwnClient()
    {
        var result = HubDownload.Execute(Request, Settings, SilentRunLog.Instance);

        var root = Folder.At("cache", "models--someone--tiny");
        Assert.Equal(Path.Combine(root, "snapshots", LocalHub.Commit), result.Directory);
        Assert.Equal(LocalHub.Commit, File.ReadAllText(Path.Combine(root, "refs", "main")));
        // The pickle copy is left out.
        Assert.Equal(["config.json", "empty.txt", Weights, "sub/notes.txt"], result.Files.Select(file => file.Path));
        Assert.Equal(["pytorch_model.bin"], result.LeftOut);
        Assert.Equal(Content, File.ReadAllBytes(Path.Combine(result.Directory, Weights)));
        Assert.Equal("deep", File.ReadAllText(Path.Combine(result.Directory, "sub", "notes.txt")));
        Assert.Equal(Content, File.ReadAllBytes(Blob(LocalHub.Hash(Content, isLarge: true))));
        Assert.Equal("{}\n", File.ReadAllText(Blob(LocalHub.Hash("{}\n"u8.ToArray(), isLarge: false))));
        Assert.Equal(Content.Length, Assert.Single(ContentHash.OfModel(result.Directory).Files).Bytes); // of the content, not of the link
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(
                $"../../blobs/{LocalHub.Hash(Content, isLarge: true)}",
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
        Hub.Requests.Clear();

        Assert.Equal(0, HubDownload.Execute(Request, Settings, SilentRunLog.Instance).Fetched);
        Assert.All(Hub.Requests, request => Assert.StartsWith("/api/", request.Path, StringComparison.Ordinal));
    }

    [Fact]
    public void Token_IsSentToTheHub_AndToNoOtherHost()
    {
        using var storage = new LocalHub("storage").Add(Weights, Content, isLarge: true);
        Misbehave(Weights).Storage = storage.Address;
        Hub.Token = "hf_secret";

        Assert.Contains("access was refused (401): there is no such repository, or it is private", Fails(), StringComparison.Ordinal);
        Assert.Contains("with the token", Fails(settings: Settings with { Token = "hf_wrong" }), StringComparison.Ordinal);
        var result = HubDownload.Execute(Request, Settings with { Token = "hf_secret" }, SilentRunLog.Instance);

        Assert.Equal(Content, File.ReadAllBytes(Path.Combine(result.Directory, Weights)));
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
        Assert.False(Directory.Exists(Folder.At("cache")));
    }

    [Fact]
    public void Revision_OfAPullRequest_HasItsOwnReference()
    {
        HubDownload.Execute(Request with { Revision = "refs/pr/1", Include = ["config.json"] }, Settings, SilentRunLog.Instance);
        Assert.Equal(LocalHub.Commit, File.ReadAllText(Folder.At("cache", "models--someone--tiny", "refs", "refs", "pr", "1")));
    }

    [Fact]
    public void Out_IsADirectoryOfItsOwn_AndGoesOnAfterAnInterruption()
    {
        using var interruption = new CancellationTokenSource();
        Misbehave(Weights).Cuts.Enqueue(100_000);
        var log = new InterruptingLog("the connection was cut", interruption);
        var request = Request with { Out = Folder.At("model") };
        Assert.ThrowsAny<OperationCanceledException>(() => HubDownload.Execute(request, Settings, log, interruption.Token));
        Assert.False(Directory.Exists(Folder.At("model")));
        Hub.Requests.Clear();

        var result = HubDownload.Execute(request, Settings, SilentRunLog.Instance);

        Assert.Equal(Folder.At("model"), result.Directory);
        Assert.Equal(
            [".cache", "config.json", "empty.txt", "model.safetensors", "sub"], // where it comes from, and what it is
            Directory.EnumerateFileSystemEntries(Folder.At("model")).Select(entry => Path.GetFileName(entry)).Order(StringComparer.Ordinal)
        );
        Assert.Equal(Request.Repository.Name, ModelOrigin.Of(Folder.At("model")).HubName);
        Assert.Equal(
            "bytes=100000-",
            Assert.Single(Hub.Requests, asked => asked.Method == "GET" && asked.Path.Contains("/resolve/", StringComparison.Ordinal)).Range
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
            Folder.At("tofu")
        );
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        Assert.Equal(["She.", "Then."], Corpus.Read(Folder.At("tofu", "forget01.json")).Select(record => record.Answer));
        Assert.StartsWith(Folder.At("tofu") + Environment.NewLine, run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_ComeFromTheHubsVariables()
    {
        File.WriteAllText(Folder.At("token"), "hf_file\n");
        Dictionary<string, string> variables = new() { ["HF_HOME"] = Folder.Path };
        HubSettings Read() => HubSettings.FromEnvironment(name => variables.GetValueOrDefault(name));
        Assert.Equal(
            ("hf_file", Folder.At("hub"), "https://huggingface.co/"),
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
