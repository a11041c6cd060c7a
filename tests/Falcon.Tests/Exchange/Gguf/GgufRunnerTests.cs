using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Exchange.Gguf;
using Falcon.Layers;
using Falcon.Models;
using Falcon.Models.Generation;
using Falcon.Optimization;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Exchange.Gguf;

/// <summary>
/// Exported files in llama.cpp: the same token ids of texts, and the same greedy tokens as Falcon's generation as long as the best token
/// leads clearly.
/// </summary>
public sealed class GgufRunnerTests : IDisposable
{
    private const double Lead = 0.02; // below it the next token is as good

    private const int NewTokens = 12;

    private static readonly string[] Texts =
    [
        "The river runs past an old mill in 1984; isn't it?\n\nChildren count 12 stones  and birds.",
        "What is the capital of France?",
        "A teacher",
        "one, two, three, four, 5 and 67890",
        "It's\tHE'LL we've  I'd don't 'quoted'",
        "naïve café — 日本語 and Ünïcödé",
        "def f(x):\n    return x ** 2\n",
        " leading space and trailing space ",
        "Prices: $3.50, €4 (or 10% off)!",
        "The children near the open window heard the music of the old river in September.",
        "x",
    ];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string> TinyCases() =>
        new([.. from name in TinyFamily.Names from type in new[] { "f32", "f16" } select (name, type)]);

    [Theory]
    [MemberData(nameof(TinyCases))]
    public void Export_TinyModelOfEachKind_RunsAsInFalcon(string name, string type) =>
        Compare(TinyFamily.Write(_folder.At("model"), name), type);

    public static TheoryData<string, string> FixtureCases()
    {
        var root = Fixtures.At("gguf", "models");
        if (!Directory.Exists(root))
            return new([("", "")]);
        List<(string, string)> found =
        [
            .. from folder in Directory.EnumerateDirectories(root).Order(StringComparer.Ordinal)
            where File.Exists(Path.Combine(folder, "hf", "model.safetensors"))
            from type in new[] { "f32", "f16" }
            select (Path.GetFileName(folder), type),
        ];
        return new(found.Count > 0 ? found : [("", "")]);
    }

    [Theory]
    [MemberData(nameof(FixtureCases))]
    [Trait("Category", "Parity")]
    public void Export_FixtureModel_RunsAsInFalcon(string name, string type)
    {
        if (name.Length == 0)
            Assert.Skip("no GGUF models with the checkpoint they were made from");
        Compare(Fixtures.At("gguf", "models", name, "hf"), type);
    }

    [Fact]
    public void Export_AnUnlearnedModel_StaysUnlearnedInTheRunner()
    {
        var original = TinyCheckpoint.Write(_folder.At("original"));
        var config = UnlearnConfig.FromPreset("falcon") with
        {
            Model = original,
            Data = new DataSettings
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
                BatchSize = 2,
            },
            Layers = new LayerSettings { Target = 2, Trained = 2 },
            Optimizer = new OptimizerSettings { Kind = OptimizerKind.AdamW, LearningRate = 0.05 },
            Steps = 20,
        };
        UnlearnRun.Execute(config, _folder.At("run"), resume: false, RunContext.Quiet);
        var prompt = HfTokenizer.Load(original).Encode("Question: Where is the forgotten one?\nAnswer:");
        int[] Answer(string model, string name)
        {
            GgufExport.Execute(model, "f32", _folder.At(name), RunContext.Quiet);
            using var runner = LlamaRunner.Load(_folder.At(name));
            return [.. runner.Greedy(prompt, NewTokens).Select(step => step.Token)];
        }

        Assert.NotEqual(Answer(original, "original.gguf"), Answer(_folder.At("run", "model"), "unlearned.gguf"));
        Compare(_folder.At("run", "model"), "f32");
    }

    private void Compare(string directory, string type)
    {
        var file = _folder.At("model.gguf");
        GgufExport.Execute(directory, type, file, RunContext.Quiet);
        using var runner = LlamaRunner.Load(file);
        var tokenizer = HfTokenizer.Load(directory);
        foreach (var text in Texts)
            Assert.Equal(tokenizer.Encode(text), runner.Tokenize(text));

        using var checkpoint = Checkpoint.Open(directory);
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        var prompts = Texts.Select(text => tokenizer.Encode(text)).Where(prompt => prompt.Length > 0).ToList();
        var settings = new GenerationSettings(MaxNewTokens: NewTokens);
        var answers = Generation.Continue(model, prompts, settings, stopIds: [], padId: 0);
        var compared = 0;
        foreach (var (prompt, answer) in prompts.Zip(answers))
        {
            int[] clear = [.. runner.Greedy(prompt, NewTokens).TakeWhile(step => step.Lead >= Lead).Select(step => step.Token)];
            compared += clear.Length;
            Assert.Equal(clear, answer.Take(clear.Length));
        }

        Assert.True(compared > Texts.Length * NewTokens / 3, $"only {compared} tokens have a clear lead");
    }
}
