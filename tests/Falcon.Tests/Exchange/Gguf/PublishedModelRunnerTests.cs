using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Exchange.Gguf;
using Falcon.Models;
using Falcon.Models.Generation;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Exchange.Gguf;

/// <summary>
/// The published model, imported and exported again, in llama.cpp: its chat answers are those of Falcon, token by token, and it stops where
/// the turn ends.
/// </summary>
[Trait("Category", "Parity")]
public sealed class PublishedModelRunnerTests(PublishedModelTests.Imported imported)
    : IClassFixture<PublishedModelTests.Imported>,
        IDisposable
{
    private const double Lead = 0.02;

    private const int Prompts = 12,
        NewTokens = 16;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("f32")]
    [InlineData("f16")]
    public void Export_PublishedModel_AnswersAsInFalcon(string type)
    {
        var directory = imported.Directory();
        var file = _folder.At("model.gguf");
        GgufExport.Execute(directory, type, file, RunContext.Quiet);
        using var runner = LlamaRunner.Load(file);
        using var checkpoint = Checkpoint.Open(directory);
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        var tokenizer = HfTokenizer.Load(directory);
        Assert.True(runner.IsEnd(tokenizer.EosId!.Value));
        List<int[]> prompts = [];
        foreach (var one in imported.Golden("chat_answers.json").EnumerateArray().Take(Prompts))
        {
            var question = new ChatMessage("user", one.GetProperty("question").GetString()!);
            var text = tokenizer.RenderChat([question], addGenerationPrompt: true);
            prompts.Add(tokenizer.Encode(text, addSpecialTokens: false));
            Assert.Equal(prompts[^1], runner.Tokenize(text, addSpecial: false));
        }

        var settings = new GenerationSettings(MaxNewTokens: NewTokens);
        var answers = Generation.Continue(model, prompts, settings, stopIds: [], padId: 0);
        var compared = 0;
        foreach (var (prompt, answer) in prompts.Zip(answers))
        {
            int[] clear = [.. runner.Greedy(prompt, NewTokens).TakeWhile(step => step.Lead >= Lead).Select(step => step.Token)];
            compared += clear.Length;
            Assert.Equal(clear, answer.Take(clear.Length));
        }

        Assert.True(compared > Prompts * NewTokens / 2, $"only {compared} tokens have a clear lead");
    }
}
