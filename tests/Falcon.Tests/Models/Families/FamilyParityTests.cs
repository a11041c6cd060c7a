using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Models;
using Falcon.Models.Generation;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Models.Families;

/// <summary>
/// The cases of <c>families/families.json</c> below FALCON_FIXTURES: tiny checkpoints as the Hugging Face library writes them, and what it
/// computes from them. A case whose family is in docs/families.md must give the same numbers; any other must be refused by its name.
/// </summary>
[Trait("Category", "Parity")]
public sealed class FamilyParityTests : IDisposable
{
    private const string Format = "families";
    private const string Config = "config.json", OldConfig = "config.old_layout.json";

    private static readonly string Root = Fixtures.At(Format);
    private static readonly HashSet<string> Known = [.. FamilyCase.All.Select(one => one.Config["model_type"]!.GetValue<string>())];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string, string> Supported() => Of(known: true);

    public static TheoryData<string, string, string> Others() => Of(known: false);

    [Theory]
    [MemberData(nameof(Supported))]
    public void Model_OfAFamily_ComputesWhatTheLibraryDoes(string format, string name, string config)
    {
        var one = Case.OrSkip(format, name);
        using var scope = NewDisposeScope();
        using var guard = no_grad();
        using var checkpoint = Checkpoint.Open(Directory(one, config));
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);

        foreach (var i in new[] { 0, 1 })
        {
            var batch = new TokenBatch([one.Ids(i)], 0);
            using var context = batch.Context(model);
            List<Tensor> states = [model.Embed(batch.InputIds(CPU), context.Positions)];
            for (var layer = 0; layer < model.Config.LayerCount; layer++) states.Add(model.Layer(layer, states[^1], context));
            var hidden = one.Golden[$"hidden_{i}"];
            for (var layer = 0; layer < model.Config.LayerCount; layer++) // the last entry is normed, which the logits cover
                one.Close(hidden[layer], states[layer][0], $"what enters layer {layer} of text {i}");
            one.Close(one.Golden[$"pre_norm_{i}"], states[^1][0], $"what leaves the last layer of text {i}");
            var logits = model.Head(states[^1])[0];
            one.Close(one.Golden[$"logits_{i}"], logits, $"logits of text {i}");
            one.Close(one.Golden[$"token_logprob_{i}"], LogProbabilities(logits, one.Ids(i)), $"log-probabilities of text {i}");
        }

        // A row gives what it gives alone. The library's own row does where padded_row0_max_diff is 0.
        var padded = new TokenBatch([one.Ids(0), one.Ids(1)], 0);
        using var both = padded.Context(model);
        var rows = model.Logits(padded.InputIds(CPU), both);
        one.Close(one.Golden["logits_0"], rows[0].narrow(0, 0, one.Ids(0).Length), "row 0 of the padded batch");
        one.Close(one.Golden["logits_1"], rows[1], "row 1 of the padded batch");
        if (one.Entry.GetProperty("padded_row0_max_diff").GetDouble() < one.Tolerance / 2)
            one.Close(one.Golden["pad_logits_0"], rows[0].narrow(0, 0, one.Ids(0).Length), "row 0 of the library's padded batch");
    }

    [Theory]
    [MemberData(nameof(Supported))]
    public void Generation_OfAFamily_GivesTheLibrarysTokensWithAndWithoutACache(string format, string name, string config)
    {
        var one = Case.OrSkip(format, name);
        using var checkpoint = Checkpoint.Open(Directory(one, config));
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        int[] wanted = Numbers(one.Golden["generated"]);

        var settings = new GenerationSettings(MaxNewTokens: wanted.Length);
        Assert.Equal(wanted, Generation.Continue(model, [one.Ids(0)], settings, stopIds: [], padId: 0)[0]);
        // Together with a longer prompt, before which it is padded.
        Assert.Equal(wanted, Generation.Continue(model, [one.Ids(0), one.Ids(1)], settings, stopIds: [], padId: 0)[0]);
        List<int> tokens = [.. one.Ids(0)];
        foreach (var token in wanted)
        {
            using var scope = NewDisposeScope();
            using var guard = no_grad();
            var batch = new TokenBatch([[.. tokens]], 0);
            using var context = batch.Context(model);
            Assert.Equal(token, (int)model.Logits(batch.InputIds(CPU), context)[0, -1].argmax().item<long>());
            tokens.Add(token);
        }
    }

    [Theory]
    [MemberData(nameof(Supported))]
    public void Logprobs_OfAFamily_AreTheLibrarysForTokenIdsWithoutATokenizer(string format, string name, string config)
    {
        var one = Case.OrSkip(format, name);
        var texts = _folder.At("ids.jsonl");
        File.WriteAllLines(texts, new[] { 0, 1 }.Select(i => JsonSerializer.Serialize(new { input_ids = one.Ids(i) })));
        var settings = new LogprobsSettings(Directory(one, config), texts, _folder.At("out", "logprobs.safetensors"))
        {
            Logits = LogitsKept.All,
        };
        LogprobsRun.Execute(settings, RunContext.Quiet);

        using var scope = NewDisposeScope();
        var written = new FixtureTensors(settings.Out);
        foreach (var i in new[] { 0, 1 })
        {
            Assert.Equal(one.Ids(i), Numbers(written[$"input_ids_{i}"]));
            Assert.Equal(one.Golden[$"logits_{i}"].shape, written[$"logits_{i}"].shape);
            one.Close(one.Golden[$"logits_{i}"], written[$"logits_{i}"], $"logits of text {i}");
            one.Close(one.Golden[$"token_logprob_{i}"], written[$"token_logprob_{i}"], $"log-probabilities of text {i}");
        }
    }

    [Theory]
    [MemberData(nameof(Others))]
    public void Checkpoint_OfAnotherFamily_IsRefusedByName(string format, string name, string config)
    {
        var one = Case.OrSkip(format, name);
        var error = Assert.Throws<UnsupportedCheckpointException>(() => Checkpoint.Open(Directory(one, config)).Dispose());
        Assert.Contains(one.Entry.GetProperty("model_type").GetString()!, error.Message, StringComparison.Ordinal);
    }

    private static TheoryData<string, string, string> Of(bool known)
    {
        TheoryData<string, string, string> cases = [];
        foreach (var entry in Case.All().Where(entry => Known.Contains(entry.GetProperty("model_type").GetString()!) == known))
        {
            cases.Add(Format, entry.GetProperty("id").GetString()!, Config);
            if (entry.TryGetProperty("old_layout_config", out var old) && old.GetBoolean())
                cases.Add(Format, entry.GetProperty("id").GetString()!, OldConfig);
        }

        if (cases.Count == 0) cases.Add(Format, "", Config);
        return cases;
    }

    /// <summary>The case's own directory, or a copy in which the older configuration stands in place of the current one.</summary>
    private string Directory(Case one, string config)
    {
        var source = Path.Combine(Root, one.Entry.GetProperty("path").GetString()!);
        if (config == Config) return source;
        var copy = System.IO.Directory.CreateDirectory(_folder.At("model")).FullName;
        foreach (var file in System.IO.Directory.EnumerateFiles(source))
            if (!Path.GetFileName(file).StartsWith("golden", StringComparison.Ordinal))
                File.Copy(file, Path.Combine(copy, Path.GetFileName(file)), overwrite: true);
        File.Copy(Path.Combine(source, config), Path.Combine(copy, Config), overwrite: true);
        return copy;
    }

    private static Tensor LogProbabilities(Tensor logits, int[] ids)
    {
        using var next = tensor(ids[1..].Select(id => (long)id).ToArray(), int64).unsqueeze(1);
        return logits[..^1].log_softmax(-1).gather(1, next).squeeze(1);
    }

    private static int[] Numbers(Tensor ids)
    {
        using var scope = NewDisposeScope();
        return [.. ids.to(int64).data<long>().ToArray().Select(id => (int)id)];
    }

    private sealed record Case(JsonElement Entry, FixtureTensors Golden)
    {
        public double Tolerance => Entry.GetProperty("tolerance").GetDouble();

        public static IEnumerable<JsonElement> All()
        {
            var file = Path.Combine(Root, "families.json");
            return File.Exists(file)
                ? JsonDocument.Parse(File.ReadAllBytes(file)).RootElement.GetProperty("cases").EnumerateArray()
                : Enumerable.Empty<JsonElement>();
        }

        public static Case OrSkip(string format, string name)
        {
            Assert.SkipWhen(name.Length == 0, $"no {format} at {Root}");
            var entry = All().Single(one => one.GetProperty("id").GetString() == name);
            return new Case(entry, new FixtureTensors(Path.Combine(Root, entry.GetProperty("golden").GetString()!)));
        }

        public int[] Ids(int i)
        {
            using var scope = NewDisposeScope();
            return Numbers(Golden[$"input_ids_{i}"]);
        }

        public void Close(Tensor expected, Tensor actual, string what) => GoldenCases.Close(expected, actual, Tolerance, what);
    }
}
