using Falcon.Hub;
using Falcon.Runtime;

namespace Falcon.Tests.Hub;

/// <summary>A hub that cuts connections, is busy, or lies about lengths, contents and paths.</summary>
public sealed class HubFaultTests : HubTest
{
    [Fact]
    public void CutConnections_AreResumedWhereTheyEnded()
    {
        foreach (var cut in new[] { 1000, 150_000, 40_000, 0, 1, 1, 50_000 })
            Misbehaved(Weights).Cuts.Enqueue(cut); // more cuts than retries: each brings something

        var result = HubDownload.Execute(Request, Settings, SilentRunLog.Instance);

        Assert.Equal(Content, File.ReadAllBytes(Path.Combine(result.Directory, Weights)));
        Assert.Equal(
            [null, "bytes=1000-", "bytes=151000-"],
            Hub.Requests.Where(request => request.Method == "GET" && request.Path.EndsWith(Weights, StringComparison.Ordinal))
                .Select(request => request.Range)
                .Take(3)
        );
    }

    [Fact]
    public void CutForGood_KeepsWhatArrived_AndTheNextCommandGoesOn()
    {
        Misbehave(Weights).Cuts.Enqueue(100_000);
        for (var i = 0; i < 3; i++) Misbehaved(Weights).Cuts.Enqueue(0);
        Assert.Contains("what has arrived is kept", Fails(), StringComparison.Ordinal);
        Assert.Equal(100_000, new FileInfo(Blob(LocalHub.Hash(Content, isLarge: true)) + ".incomplete").Length);
        Assert.False(File.Exists(Folder.At("cache", "models--someone--tiny", "snapshots", LocalHub.Commit, Weights)));
        Hub.Requests.Clear();

        HubDownload.Execute(Request, Settings, SilentRunLog.Instance);

        Assert.Equal(
            "bytes=100000-",
            Assert
                .Single(Hub.Requests, request => request.Method == "GET" && request.Path.EndsWith(Weights, StringComparison.Ordinal))
                .Range
        );
        Assert.Equal(Content, File.ReadAllBytes(Blob(LocalHub.Hash(Content, isLarge: true))));
    }

    [Fact]
    public void RangeIgnored_StartsOverAndIsRight()
    {
        Misbehave(Weights).Cuts.Enqueue(1000);
        Misbehaved(Weights).IgnoresRange = true;
        Assert.Equal(
            Content,
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
            Fails(settings: Settings with { CacheDirectory = Folder.At("other") }),
            StringComparison.Ordinal
        );
        Assert.False(File.Exists(Blob(LocalHub.Hash(Content, isLarge: true))));
    }

    [Fact]
    public void BodyLongerThanTheFile_IsThrownAway()
    {
        Misbehave(Weights).ExtraBytes = 5;
        Assert.Contains("more than the 300000 bytes", Fails(), StringComparison.Ordinal);
        Misbehave(Weights).ExtraBytes = 0; // a body without a stated length is fine when it ends right
        HubDownload.Execute(Request, Settings, SilentRunLog.Instance);
        Assert.Equal(Content, File.ReadAllBytes(Blob(LocalHub.Hash(Content, isLarge: true))));
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
            Fails(settings: Settings with { CacheDirectory = Folder.At("other") }),
            StringComparison.Ordinal
        );
        Assert.DoesNotContain(Directory.EnumerateFiles(Folder.At("other"), "*.incomplete", SearchOption.AllDirectories), _ => true);
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
    public void NoServer_SaysSo()
    {
        var settings = Settings;
        Hub.Dispose();
        Assert.Contains("Check the connection", Fails(settings: settings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../evil.json")]
    [InlineData("a/../../evil")]
    [InlineData("/etc/evil")]
    [InlineData("a\\b")]
    public void HostilePaths_AreRefused(string path)
    {
        Hub.Add(path, "x");
        Assert.Contains("no path inside a repository", Fails(), StringComparison.Ordinal);
    }

    [Fact]
    public void AnswerOfSomethingElse_IsNamed()
    {
        Misbehave("").Statuses.Enqueue(200); // "busy" is no JSON
        Assert.Contains("not that of a hub", Fails(), StringComparison.Ordinal);
    }
}
