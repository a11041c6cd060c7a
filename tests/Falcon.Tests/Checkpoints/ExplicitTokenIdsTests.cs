using System.Text.Json.Nodes;
using Falcon.Checkpoints;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Tests.Checkpoints;

/// <summary>The begin and end token that a written config.json names.</summary>
public sealed class ExplicitTokenIdsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Completed(string config)
    {
        var folder = TinyCheckpoint.Write(_folder.At("model"));
        File.WriteAllText(Path.Combine(folder, "config.json"), config);
        ExplicitTokenIds.Complete(folder, HfTokenizer.Load(folder), SilentRunLog.Instance);
        return File.ReadAllText(Path.Combine(folder, "config.json"));
    }

    [Theory]
    [InlineData("{\n  \"a\": 1\n}\n", "{\n  \"bos_token_id\": null,\n  \"eos_token_id\": 0,\n  \"a\": 1\n}\n")]
    [InlineData("{\"eos_token_id\": [0, 1]}", "{\"bos_token_id\": null,\"eos_token_id\": [0, 1]}")]
    [InlineData("{\n  \"bos_token_id\": null, \"eos_token_id\": 2\n}", "{\n  \"bos_token_id\": null, \"eos_token_id\": 2\n}")]
    [InlineData(
        "{\"text_config\": {\"bos_token_id\": 1, \"eos_token_id\": 2}}",
        "{\"text_config\": {\"bos_token_id\": 1, \"eos_token_id\": 2}}"
    )]
    public void Complete_AddsWhatIsMissingAndNothingElse(string config, string expected)
    {
        var written = Completed(config);
        Assert.Equal(expected, written);
        Assert.NotNull(JsonNode.Parse(written));
    }
}
