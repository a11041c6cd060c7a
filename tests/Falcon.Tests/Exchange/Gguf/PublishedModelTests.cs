using System.Text.Json;
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
/// A published instruct model, imported from the GGUF file that people run: tokenizer, chat rendering, logits and greedy answers are those
/// of the Hugging Face library. From <c>../shared/models/smollm2-135m-instruct</c>, or the folder that FALCON_PUBLISHED names.
/// </summary>
[Trait("Category", "Parity")]
public sealed class PublishedModelTests(PublishedModelTests.Imported imported) : IClassFixture<PublishedModelTests.Imported>
{
    private const double LogitTolerance = 2e-3,
        LogProbabilityTolerance = 1e-3,
        Lead = 0.02; // below it the next token is as good

    [Fact]
    public void Tokenizer_EveryText_GivesTheIdsAndReadsThemBack()
    {
        var tokenizer = HfTokenizer.Load(imported.Directory());
        foreach (var one in imported.Golden("tokenizer.json").EnumerateArray())
        {
            var ids = Ids(one, "ids");
            Assert.Equal(ids, tokenizer.Encode(one.GetProperty("text").GetString()!));
            Assert.Equal(one.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
        }
    }

    [Fact]
    public void ChatTemplate_EveryConversation_IsRenderedAlike()
    {
        var tokenizer = HfTokenizer.Load(imported.Directory());
        foreach (var one in imported.Golden("chat_rendering.json").EnumerateArray())
        {
            var messages = one.GetProperty("messages")
                .EnumerateArray()
                .Select(message => new ChatMessage(message.GetProperty("role").GetString()!, message.GetProperty("content").GetString()!));
            var text = tokenizer.RenderChat(messages, one.GetProperty("add_generation_prompt").GetBoolean());
            Assert.Equal(one.GetProperty("text").GetString(), text);
            Assert.Equal(Ids(one, "ids"), tokenizer.Encode(text, addSpecialTokens: false));
        }
    }

    [Fact]
    public void Logits_EveryText_AreThoseOfTheLibrary()
    {
        var golden = new FixtureTensors(imported.GoldenPath("logits.safetensors"));
        using var checkpoint = Checkpoint.Open(imported.Directory());
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        foreach (var text in imported.Golden("texts.json").EnumerateObject())
        {
            using var scope = NewDisposeScope();
            using var guard = no_grad();
            var ids = Ids(text.Value, "ids");
            var tokens = new TokenBatch([ids], 0);
            using var context = tokens.Context(model);
            var logits = model.Logits(tokens.InputIds(CPU), context)[0]; // [T, V]
            GoldenCases.Close(golden[text.Name + ".logits_last"], logits[-1], LogitTolerance, text.Name);
            using var next = tensor(ids[1..].Select(id => (long)id).ToArray(), int64).unsqueeze(1);
            var likelihoods = logits[..^1].log_softmax(-1).gather(1, next).squeeze(1);
            GoldenCases.Close(golden[text.Name + ".next_logprob"], likelihoods, LogProbabilityTolerance, text.Name);
        }
    }

    [Fact]
    public void StopTokens_AreTheTurnEndAndTheEndOfText()
    {
        using var checkpoint = Checkpoint.Open(imported.Directory());
        var tokenizer = HfTokenizer.Load(imported.Directory());
        int[] ends = [tokenizer.TokenId("<|im_end|>")!.Value, tokenizer.TokenId("<|endoftext|>")!.Value];
        Assert.Equal(ends.Order(), tokenizer.StopIds(checkpoint.Config.EosTokenIds).Order());
    }

    [Fact]
    public void GreedyAnswers_InChatForm_AreThoseOfTheLibrary()
    {
        var tokenizer = HfTokenizer.Load(imported.Directory());
        using var checkpoint = Checkpoint.Open(imported.Directory());
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        foreach (var one in imported.Golden("chat_answers.json").EnumerateArray())
        {
            var prompt = tokenizer.RenderChat(
                [new ChatMessage("user", one.GetProperty("question").GetString()!)],
                addGenerationPrompt: true
            );
            Assert.Equal(Ids(one, "prompt_ids"), tokenizer.Encode(prompt, addSpecialTokens: false));
            var leads = one.GetProperty("top2_margin").EnumerateArray().Select(lead => lead.GetDouble()).ToList();
            var clear = leads.TakeWhile(lead => lead >= Lead).Count();
            var wanted = Ids(one, "answer_ids").Take(clear).ToArray();
            var settings = new GenerationSettings(MaxNewTokens: wanted.Length);
            Assert.Equal(wanted, Generation.Continue(model, [Ids(one, "prompt_ids")], settings, stopIds: [], padId: 0)[0]);
        }
    }

    private static int[] Ids(JsonElement element, string name) =>
        [.. element.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];

    /// <summary>The model, imported once for the class when it is first asked for.</summary>
    public sealed class Imported : IDisposable
    {
        private readonly TemporaryFolder _folder = new();
        private string? _directory;

        public void Dispose() => _folder.Dispose();

        internal string Directory()
        {
            if (_directory is not null)
                return _directory;
            var file = System.IO.Directory.EnumerateFiles(Folder(), "*.gguf").Order(StringComparer.Ordinal).First();
            GgufImport.Execute(file, _folder.At("model"), "float32", RunContext.Quiet);
            return _directory = _folder.At("model");
        }

        internal string GoldenPath(string name) => Path.Combine(Folder(), "golden", name);

        internal JsonElement Golden(string name) => JsonDocument.Parse(File.ReadAllBytes(GoldenPath(name))).RootElement;

        /// <summary>The folder of the model and its golden numbers; null where there is none.</summary>
        internal static string? FolderOrNull()
        {
            var folder =
                Environment.GetEnvironmentVariable("FALCON_PUBLISHED") is { Length: > 0 } named && System.IO.Directory.Exists(named)
                ? named
                : Path.Combine(Fixtures.RepositoryRoot, "..", "shared", "models", "smollm2-135m-instruct");
            return System.IO.Directory.Exists(folder) ? folder : null;
        }

        private static string Folder() => FolderOrNull() ?? Fixtures.SharedOrSkip("models", "smollm2-135m-instruct");
    }
}
