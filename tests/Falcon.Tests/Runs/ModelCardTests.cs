using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Tests.Runs;

/// <summary>The README.md of an unlearned model.</summary>
public sealed class ModelCardTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private UnlearnConfig Config(string model) => UnlearnConfig.FromPreset("falcon") with
    {
        Model = model,
        Data = new DataSettings
        {
            Forget = [TinyCheckpoint.Questions(_folder.At("secrets.jsonl"), "forgotten")],
            Retain = [TinyCheckpoint.Questions(_folder.At("common.jsonl"), "kept")],
            BatchSize = 2,
        },
        Layers = new LayerSettings { Target = 1, Trained = 2 },
        Steps = 2,
        Seed = 5,
    };

    [Fact]
    public void Unlearn_WritesACard_ThatSaysWhatWasDone()
    {
        var model = TinyCheckpoint.Write(_folder.At("start"));
        TinyCheckpoint.Edit(model, config => config["_name_or_path"] = "someone/tiny-model");
        File.WriteAllText(
            Path.Combine(model, "README.md"),
            "---\nlanguage:\n- en\n- de\nlicense: apache-2.0\nother: x\n---\nThe original card.\n"
        );

        UnlearnRun.Execute(Config(model), _folder.At("run"), false, RunContext.Quiet);

        var card = File.ReadAllText(_folder.At("run", "model", "README.md"));
        var metadata = card[..card.IndexOf("\n---\n", StringComparison.Ordinal)].Split('\n');
        Assert.Equal(
            [
                "---",
                "base_model: someone/tiny-model",
                "base_model_relation: finetune",
                "library_name: transformers",
                "language:",
                "- en",
                "- de",
                "license: apache-2.0",
                "pipeline_tag: text-generation",
                "tags:",
                "- unlearning",
                "- machine-unlearning",
                "- falcon-unlearning",
                "- falcon",
            ],
            metadata
        );
        Assert.Contains("| forget | secrets.jsonl | " + ContentHash.OfFile(_folder.At("secrets.jsonl")), card, StringComparison.Ordinal);
        Assert.Contains("seed 5", card, StringComparison.Ordinal);
        Assert.Contains("mlp.down_proj.weight of layers 0, 1", card, StringComparison.Ordinal);
        Assert.Contains("| to forget | secrets: probability of the answers |", card, StringComparison.Ordinal);
        Assert.Contains(ContentHash.OfModel(_folder.At("run", "model")).Sha256, card, StringComparison.Ordinal);
        foreach (var part in new[] { "## Limits", "AutoModelForCausalLM", "vllm serve" })
            Assert.Contains(part, card, StringComparison.Ordinal);
        Assert.DoesNotContain(_folder.Path, card, StringComparison.Ordinal); // a published card tells nothing of the machine
        Assert.Equal("The original card.", File.ReadAllLines(_folder.At("run", "model", "README-before.md"))[^1]);
    }

    [Fact]
    public void Unlearn_OfAnUnlearnedModel_KeepsAllCards()
    {
        var first = Config(TinyCheckpoint.Write(_folder.At("start"))) with { Evaluation = new EvaluationConfig { Samples = 0 } };
        UnlearnRun.Execute(first, _folder.At("one"), false, RunContext.Quiet);
        UnlearnRun.Execute(first with { Model = _folder.At("one", "model") }, _folder.At("two"), false, RunContext.Quiet);
        UnlearnRun.Execute(first with { Model = _folder.At("two", "model") }, _folder.At("three"), false, RunContext.Quiet);

        Assert.Equal(
            ["README-before-2.md", "README-before.md", "README.md"],
            Directory
                .EnumerateFiles(_folder.At("three", "model"), "README*")
                .Select(path => Path.GetFileName(path))
                .Order(StringComparer.Ordinal)
        );
        Assert.Contains("measured nothing", File.ReadAllText(_folder.At("three", "model", "README.md")), StringComparison.Ordinal);
        Assert.DoesNotContain("license:", File.ReadAllText(_folder.At("one", "model", "README.md")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a/models--org--name/snapshots/0123", "org/name")]
    [InlineData("plain", null)]
    public void Origin_OfACacheFolder_IsTheHubsName(string folder, string? expected) =>
        Assert.Equal(expected, ModelOrigin.Of(TinyCheckpoint.Write(_folder.At(folder.Split('/')))).HubName);

    [Theory]
    [InlineData("no metadata\nlicense: mit\n")]
    [InlineData("---\nlicense: mit\nnever closed\n")]
    public void Origin_WithoutMetadata_HasNoLicence(string card)
    {
        var model = TinyCheckpoint.Write(_folder.At("model"));
        File.WriteAllText(Path.Combine(model, "README.md"), card);
        Assert.Empty(ModelOrigin.Of(model).CardLines);
    }
}
