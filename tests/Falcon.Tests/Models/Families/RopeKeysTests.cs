using System.Text.Json.Nodes;
using Falcon.Models.Families;
using Falcon.Runtime;

namespace Falcon.Tests.Models.Families;

/// <summary>The keys of the rotation in the forms of several library versions, also two of them in one file.</summary>
public sealed class RopeKeysTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private ModelConfig Config(string name, string keys, params string[] without)
    {
        var folder = _folder.At($"model{Directory.GetDirectories(_folder.Path).Length}");
        FamilyCase.Of(name).Write(folder);
        TinyCheckpoint.Edit(folder, config =>
        {
            foreach (var key in without)
                config.Remove(key);
            foreach (var (key, value) in JsonNode.Parse(keys)!.AsObject())
                config[key] = value?.DeepClone();
        });
        return ModelConfig.Load(folder);
    }

    [Theory]
    [InlineData("Llama 2", """{"rope_theta": 5000.0, "rope_parameters": {"rope_theta": 5000, "rope_type": "default"}}""")]
    [InlineData("Llama 2", """{"rope_theta": 5000, "rope_scaling": null, "rope_parameters": {"rope_type": "default"}}""")]
    [InlineData(
        "Llama 2",
        """
            {"rope_theta": 5000, "rope_scaling": {"type": "linear", "factor": 2},
             "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5000}}
            """
    )]
    [InlineData("Llama 2", """{"rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 2, "rope_theta": 5000}}""")]
    [InlineData("GPT-NeoX, Pythia", """{"rotary_emb_base": 5000, "rope_theta": 5000, "rotary_pct": 0.25, "partial_rotary_factor": 0.25}""")]
    [InlineData(
        "GPT-NeoX, Pythia",
        """{"rotary_emb_base": 5000, "rotary_pct": 0.25, "rope_parameters": {"rope_theta": 5000, "partial_rotary_factor": 0.25}}"""
    )]
    public void TwoGenerations_ThatSayTheSame_AreRead(string name, string keys)
    {
        var rope = Config(name, keys, "rope_theta", "rotary_emb_base", "rotary_pct").Ropes[0]!;
        Assert.Equal(5000, rope.Theta);
        Assert.Equal(keys.Contains("linear", StringComparison.Ordinal) ? 2 : 1, rope.Factor);
    }

    [Theory]
    [InlineData("Llama 2", """{"rope_theta": 10000.0, "rope_parameters": {"rope_theta": 500000.0}}""", "10000", "500000")]
    [InlineData(
        "Llama 2",
        """
            {"rope_scaling": {"rope_type": "linear", "factor": 4.0},
             "rope_parameters": {"rope_type": "linear", "factor": 8.0, "rope_theta": 10000}}
            """,
        "\"factor\":4.0",
        "\"factor\":8.0"
    )]
    [InlineData(
        "Llama 2",
        """{"rope_scaling": {"rope_type": "linear", "factor": 4.0}, "rope_parameters": {"rope_type": "default"}}""",
        "\"rope_type\":\"linear\"",
        "\"rope_type\":\"default\""
    )]
    [InlineData("Llama 2", """{"rope_theta": 10000, "rope_scaling": {"type": "linear", "factor": 2, "rope_theta": 7}}""", "10000", "7")]
    [InlineData("Llama 2", """{"rope_scaling": {"type": "linear", "rope_type": "dynamic", "factor": 2}}""", "linear", "dynamic")]
    [InlineData("GPT-NeoX, Pythia", """{"rotary_emb_base": 10000, "rope_theta": 20000}""", "10000", "20000")]
    [InlineData(
        "GPT-NeoX, Pythia",
        """{"rotary_pct": 0.5, "rope_parameters": {"rope_theta": 10000, "partial_rotary_factor": 0.25}}""",
        "0.5",
        "0.25"
    )]
    [InlineData(
        "Gemma 3",
        """
            {"rope_local_base_freq": 10000,
             "rope_parameters": {"full_attention": {"rope_theta": 1000000}, "sliding_attention": {"rope_theta": 500}}}
            """,
        "10000",
        "500"
    )]
    public void TwoGenerations_ThatDiffer_AreRefusedWithBothValues(string name, string keys, string first, string second)
    {
        var error = Assert.Throws<UnsupportedCheckpointException>(() => Config(name, keys, "rope_theta", "rotary_pct", "rope_scaling"));
        Assert.Contains(first, error.Message, StringComparison.Ordinal);
        Assert.Contains(second, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ParametersByKindOfLayer_AreReadForAnyFamily()
    {
        var config = Config(
            "Qwen3",
            """
            {"layer_types": ["full_attention", "sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 6,
             "use_sliding_window": true,
             "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 900.0},
                                 "sliding_attention": {"rope_type": "default", "rope_theta": 70.0}}}
            """,
            "rope_theta"
        );
        Assert.Equal([900.0, 70.0, 900.0, 70.0], config.Ropes.Select(rope => rope!.Theta));
        Assert.Equal([2.0, 1.0, 2.0, 1.0], config.Ropes.Select(rope => rope!.Factor));
    }
}
