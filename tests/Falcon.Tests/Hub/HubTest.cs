using Falcon.Hub;
using Falcon.Runtime;

namespace Falcon.Tests.Hub;

/// <summary>Downloads from a hub on this machine, which misbehaves on request.</summary>
public abstract class HubTest : IDisposable
{
    protected const string Name = "someone/tiny";
    protected const string Weights = "model.safetensors";

    protected HubTest() =>
        Hub.Add("config.json", "{}\n")
            .Add("sub/notes.txt", "deep")
            .Add("pytorch_model.bin", "the same again")
            .Add(Weights, Content, isLarge: true)
            .Add("empty.txt", "");

    private protected TemporaryFolder Folder { get; } = new();

    private protected LocalHub Hub { get; } = new(Name);

    /// <summary>The bytes of the weight file.</summary>
    protected byte[] Content { get; } = [.. Enumerable.Range(0, 300_000).Select(i => (byte)(i * 31 % 251))];

    public void Dispose()
    {
        Hub.Dispose();
        Folder.Dispose();
        GC.SuppressFinalize(this);
    }

    protected HubSettings Settings =>
        new(Hub.Address, null, Folder.At("cache"))
        {
            FirstPause = TimeSpan.FromMilliseconds(1),
            Silence = TimeSpan.FromSeconds(5),
            Retries = 3,
        };

    protected static HubRequest Request => new(new HubRepository(HubRepositoryType.Model, Name));

    protected string Blob(string hash) => Folder.At("cache", "models--someone--tiny", "blobs", hash);

    private protected Misbehaviour Misbehave(string path) => Hub.Wrong[path] = new Misbehaviour();

    private protected Misbehaviour Misbehaved(string path) => Hub.Wrong.GetValueOrDefault(path) ?? Misbehave(path);

    protected string Fails(HubRequest? request = null, HubSettings? settings = null) =>
        Assert
            .Throws<UserInputException>(() => HubDownload.Execute(request ?? Request, settings ?? Settings, SilentRunLog.Instance))
            .Message;
}
