using System.Globalization;
using System.Text.Json.Nodes;
using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Models;
using Falcon.Models.Generation;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Models.Families;

/// <summary>What docs/families.md promises for every family, shown on tiny random checkpoints in each family's own layout.</summary>
public sealed class FamilyTests : IDisposable
{
    // Of the largest logit. Single-precision arithmetic in another order leaves a few parts in a million.
    private const double Tolerance = 2e-5;

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Names() => [.. FamilyCase.All.Select(item => item.Name)];

    public void Dispose() => _folder.Dispose();

    private static double[][] Rows(Tensor logits) =>
        [.. Enumerable.Range(0, (int)logits.shape[1]).Select(t => logits[0, t].to(float64).data<double>().ToArray())];

    [Theory, MemberData(nameof(Names))]
    public void Logits_AgreeWithTheFormulasInDoublePrecision(string name)
    {
        var family = FamilyCase.Of(name);
        var reference = new ReferenceDecoder(JsonNode.Parse(family.Config.ToJsonString())!.AsObject(), family.Weights());
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var (weights, model) = Checkpoint.LoadModel(family.Write(_folder.At("model")), float32, CPU);
        using var owned = weights;
        foreach (var count in new[] { 1, 12, 29 }) // within and beyond windows and original contexts
        {
            var ids = FamilyCase.Ids(count, count);
            using var context = model.Causal(count);
            var actual = Rows(model.Logits(tensor(ids.Select(id => (long)id).ToArray(), [1, count]), context));
            var expected = reference.Logits(ids);
            var largest = expected.Max(row => row.Max(Math.Abs));
            var difference = expected.Zip(actual, (a, b) => a.Zip(b, (x, y) => Math.Abs(x - y)).Max()).Max();
            TestContext.Current.TestOutputHelper?.WriteLine(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{name}, {count} tokens: largest difference {difference:E1}, largest logit {largest:F2}"
                )
            );
            Assert.True(
                difference <= Tolerance * largest,
                string.Create(CultureInfo.InvariantCulture, $"{count} tokens: {difference:E2} of {largest:F2}")
            );
            Assert.True(largest > 0.5);
        }
    }

    [Theory, MemberData(nameof(Names))]
    public void Logits_PaddedBatch_AreThoseOfTheTextsAlone(string name)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var (weights, model) = Checkpoint.LoadModel(FamilyCase.Of(name).Write(_folder.At("model")), float32, CPU);
        using var owned = weights;
        int[][] texts = [FamilyCase.Ids(9, 1), FamilyCase.Ids(21, 2), FamilyCase.Ids(17, 3)];
        var batch = new TokenBatch(texts, 0);
        using var context = batch.Context(model);
        var logits = model.Logits(batch.InputIds(CPU), context);
        for (var row = 0; row < texts.Length; row++)
        {
            using var alone = model.Causal(texts[row].Length);
            var expected = model.Logits(tensor(texts[row].Select(id => (long)id).ToArray(), [1, texts[row].Length]), alone);
            GoldenCases.CloseRelative(expected, logits[row].narrow(0, 0, texts[row].Length), Tolerance, $"row {row}");
        }
    }

    [Theory, MemberData(nameof(Names))]
    public void Generation_Cached_GivesTheTokensOfWholePasses(string name)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var (weights, model) = Checkpoint.LoadModel(FamilyCase.Of(name).Write(_folder.At("model")), float32, CPU);
        using var owned = weights;
        // The last prompt grows past 16 tokens, where some rotations change.
        int[][] prompts = [FamilyCase.Ids(3, 1), FamilyCase.Ids(9, 2), FamilyCase.Ids(14, 3)];
        var cached = Generation.Continue(model, prompts, new GenerationSettings(7), [], 0);
        foreach (var (prompt, continued) in prompts.Zip(cached))
        {
            List<int> tokens = [.. prompt];
            for (var i = 0; i < 7; i++)
            {
                using var context = model.Causal(tokens.Count);
                tokens.Add(
                    (int)
                        model
                            .Logits(tensor(tokens.Select(id => (long)id).ToArray(), [1, tokens.Count]), context)[0, tokens.Count - 1]
                            .argmax()
                            .item<long>()
                );
            }

            Assert.Equal(tokens.Skip(prompt.Length), continued);
        }
    }

    [Theory, MemberData(nameof(Names))]
    public void Streamed_ScoresAndStates_HaveTheBitsOfTheResidentModel(string name)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var checkpoint = Checkpoint.Open(FamilyCase.Of(name).Write(_folder.At("model")));
        using var weights = checkpoint.LoadWeights(float32, CPU);
        using var streamed = checkpoint.StreamWeights(float32, CPU);
        var (resident, other) = (new CausalLM(checkpoint.Config, weights), new CausalLM(checkpoint.Config, streamed));
        List<ScoredSequence> texts = [.. Enumerable.Range(4, 9).Select(n => new ScoredSequence(FamilyCase.Ids(n, n), 1))];
        Assert.Equal(
            TokenLikelihoods.Compute(resident, texts, 0, tokensPerBatch: 30).SelectMany(score => score.LogProbabilities),
            TokenLikelihoods.Compute(other, texts, 0, tokensPerBatch: 30).SelectMany(score => score.LogProbabilities));
        int[][] tokens = [.. texts.Select(text => text.Tokens)];
        foreach (
            var (a, b) in ActivationSampler
                .LastTokenStates(resident, tokens, 0, 3, 0)
                .Zip(ActivationSampler.LastTokenStates(other, tokens, 0, 3, 0))
        )
            Assert.True(a.equal(b).all().item<bool>());
    }

    [Theory, MemberData(nameof(Names))]
    public void Inspection_CountsEveryWeightInItsPart(string name)
    {
        var family = FamilyCase.Of(name);
        var result = ModelInspection.Read(family.Write(_folder.At("model")));
        Assert.Equal(family.Config["model_type"]!.GetValue<string>(), result.Architecture);
        Assert.Equal(result.Parameters, result.Parts.Values.Sum());
        var foreign = family.Shapes.Where(item =>
            item.Name.Contains("vision_tower", StringComparison.Ordinal)
            || item.Name.Contains("projector", StringComparison.Ordinal)
            || item.Name.EndsWith(".attn.bias", StringComparison.Ordinal)
            || item.Name.EndsWith("masked_bias", StringComparison.Ordinal)
            || item.Name.EndsWith("inv_freq", StringComparison.Ordinal)
        );
        Assert.Equal(foreign.Sum(item => item.Shape.Aggregate(1L, (a, b) => a * b)), result.Parts.GetValueOrDefault("other"));
        Assert.Equal(HfTokenizer.Load(_folder.At("model")).VocabularySize, result.Tokenizer!.VocabularySize);
    }

    [Fact]
    public void Embed_GemmaInBFloat16_MultipliesByTheRoundedRoot()
    {
        using var scope = NewDisposeScope();
        var (weights, model) = Checkpoint.LoadModel(FamilyCase.Of("Gemma 2").Write(_folder.At("model")), bfloat16, CPU);
        using var owned = weights;
        var row = model.Weight("model.embed_tokens.weight")[5].to(float32);
        // The root of 32 is 5.6569; the nearest number with 8 significant bits is 5.65625.
        Assert.True(model.Embed(tensor(new long[] { 5 }, [1, 1]))[0, 0].equal((row * 5.65625f).to(bfloat16)).all().item<bool>());
    }

    // The table promises nothing that is not tested here, and leaves nothing out that is.
    [Fact]
    public void Table_HasOneFullRowForEachTestedFamily()
    {
        var rows = File.ReadLines(Path.Combine(Fixtures.RepositoryRoot, "docs", "families.md"))
            .Where(line => line.StartsWith("| ", StringComparison.Ordinal))
            .Select(line => line.Trim('|').Split('|').Select(cell => cell.Trim()).ToArray())
            .Where(cells => cells.Length == 7 && cells[0] is not ("Family" or "---"))
            .ToDictionary(cells => cells[0]);
        Assert.Equal(FamilyCase.All.Select(item => item.Name).Order(StringComparer.Ordinal), rows.Keys.Order(StringComparer.Ordinal));
        foreach (var family in FamilyCase.All)
        {
            var cells = rows[family.Name];
            Assert.Equal(family.Config["model_type"]!.GetValue<string>(), cells[1]);
            Assert.Equal(["yes", "yes", "yes", "yes"], [cells[2], cells[3], cells[5], cells[6]]);
            Assert.Equal($"yes ({family.Tokenizer})", cells[4]);
            Assert.True(
                File.Exists(Path.Combine(Fixtures.RepositoryRoot, "tests", "fixtures", "tokenizers", family.Tokenizer + ".json")),
                family.Tokenizer
            ); // HfTokenizerParityTests run on each of these
        }
    }

    [Fact]
    public void LearnedPositions_LongerText_IsRefused()
    {
        var (weights, model) = Checkpoint.LoadModel(FamilyCase.Of("GPT-2").Write(_folder.At("model")), float32, CPU);
        using var owned = weights;
        using var ids = zeros([1, 65], int64);
        Assert.Contains("64 tokens", Assert.Throws<UserInputException>(() => model.Embed(ids)).Message, StringComparison.Ordinal);
    }
}
