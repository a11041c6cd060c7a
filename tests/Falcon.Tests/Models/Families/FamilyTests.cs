using System.Globalization;
using System.Text.Json.Nodes;
using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Models.Generation;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Models.Families;

/// <summary>What docs/families.md promises of every family, shown on tiny random checkpoints in the families' own layouts.</summary>
public sealed class FamilyTests : IDisposable
{
    // Of the largest logit. Single-precision arithmetic in another order leaves a few parts in a million.
    private const double Tolerance = 2e-5;

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Names() => [.. FamilyCase.All.Select(item => item.Name)];

    public void Dispose() => _folder.Dispose();

    private static int[] Ids(int count, int seed) => [.. Enumerable.Range(0, count).Select(i => (i * 131 + seed * 37 + 3) % 800)];

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
            var ids = Ids(count, count);
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
        int[][] texts = [Ids(9, 1), Ids(21, 2), Ids(17, 3)];
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
        int[][] prompts = [Ids(3, 1), Ids(9, 2), Ids(14, 3)]; // the last grows past 16 tokens, where some rotations change
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
        List<ScoredSequence> texts = [.. Enumerable.Range(4, 9).Select(n => new ScoredSequence(Ids(n, n), 1))];
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
    public void Unlearn_TwoSteps_ChangesTheNamedMatricesAndNothingElseOnEveryEngine(string name)
    {
        var family = FamilyCase.Of(name);
        var source = family.Write(_folder.At("source"));
        string[] trained = [.. new[] { 1, 2 }.Select(layer => string.Format(CultureInfo.InvariantCulture, family.DownProjection, layer))];
        var plain = Unlearned(source, "plain", new EngineConfig { Path = EnginePath.Plain });
        foreach (
            var (way, engine) in new[]
            {
                ("cached", new EngineConfig { Cache = CacheUse.On }),
                ("streamed", new EngineConfig { Stream = true, StateInFile = true }),
            }
        )
        {
            var values = Unlearned(source, way, engine);
            foreach (var (key, expected) in plain)
            {
                // AdamW's first steps follow the signs of the gradient, also where it is next to nothing; what the passes compute is held
                // more closely by Gradients_OfTheSharedPasses.
                var difference = expected.Zip(values[key], (a, b) => Math.Abs(a - b)).Average();
                Assert.True(difference <= 1e-4, $"{way}: {key}: {difference}");
            }
        }

        using var before = Checkpoint.Open(source);
        using var after = Checkpoint.Open(_folder.At("cached", "model"));
        foreach (var (old, changed) in before.Entries.Zip(after.Entries))
        {
            Assert.Equal((old.Name, old.DType, old.Begin, old.End), (changed.Name, changed.DType, changed.Begin, changed.End));
            Assert.True(
                before.Locate(old.Name).File.Bytes(old).SequenceEqual(after.Locate(old.Name).File.Bytes(changed))
                    != trained.Contains(old.Name),
                old.Name
            );
        }

        foreach (var file in new[] { "config.json", "tokenizer.json", "tokenizer_config.json" })
            Assert.Equal(File.ReadAllBytes(Path.Combine(source, file)), File.ReadAllBytes(_folder.At("cached", "model", file)));
    }

    private Dictionary<string, float[]> Unlearned(string source, string name, EngineConfig engine)
    {
        var config = Presets.Falcon with
        {
            Model = source,
            Data = new DataConfig
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
                BatchSize = 4,
            },
            Layers = new LayerConfig
            {
                Target = 2,
                Trained = 2,
                Parameters = ["mlp.down_proj"],
            },
            Loss = Presets.Falcon.Loss with { BoundLevel = 50 }, // far above a random model's loss, else the forget gradient is as small as rounding
            Optimizer = Presets.Falcon.Optimizer with { Kind = OptimizerKind.AdamW, LearningRate = 1e-3 },
            Steps = 2,
            Engine = engine,
        };
        UnlearnRun.Execute(config, _folder.At(name), resume: false, RunContext.Quiet);
        using var scope = NewDisposeScope();
        using var checkpoint = Checkpoint.Open(_folder.At(name, "model"));
        return checkpoint.Config.Architecture.Matrices
            .SelectMany(matrix => new[] { 1, 2 }.Select(layer => checkpoint.Config.Architecture.InLayer(layer, matrix + ".weight")))
            .ToDictionary(tensor => tensor, tensor => checkpoint.LoadStored(tensor).to(float32).data<float>().ToArray());
    }

    [Theory, MemberData(nameof(Names))]
    public void Write_NothingChanged_GivesTheSameBytes(string name)
    {
        var source = FamilyCase.Of(name).Write(_folder.At("source"));
        using (var checkpoint = Checkpoint.Open(source))
        {
            var matrix = checkpoint.Config.Architecture.InLayer(1, checkpoint.Config.Architecture.MlpOutput + ".weight");
            using var trained = new TrainedParameters([matrix], checkpoint.LoadStored, float32, CPU);
            CheckpointWriter.Write(checkpoint, _folder.At("copy"), trained.ByName); // one matrix through tensors and back
        }

        foreach (var file in Directory.GetFiles(source))
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(_folder.At("copy", Path.GetFileName(file))));
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

    [Theory]
    [InlineData("Phi-3", "down_proj", "model.layers.2.mlp.down_proj.weight")]
    [InlineData("Phi-3", "qkv_proj", "model.layers.2.self_attn.qkv_proj.weight")]
    [InlineData("GPT-NeoX, Pythia", "mlp.down_proj", "gpt_neox.layers.2.mlp.dense_4h_to_h.weight")]
    [InlineData("GPT-NeoX, Pythia", "self_attn.o_proj", "gpt_neox.layers.2.attention.dense.weight")]
    [InlineData("GPT-NeoX, Pythia", "dense_h_to_4h", "gpt_neox.layers.2.mlp.dense_h_to_4h.weight")]
    [InlineData("GPT-2", "mlp.down_proj", "transformer.h.2.mlp.c_proj.weight")]
    [InlineData("GPT-2", "c_attn.weight", "transformer.h.2.attn.c_attn.weight")]
    [InlineData("GPT-2, original names", "mlp.c_fc", "h.2.mlp.c_fc.weight")]
    [InlineData("Gemma 3 with a vision part", "mlp.down_proj", "language_model.model.layers.2.mlp.down_proj.weight")]
    public void Select_ShortName_FindsTheFamilysMatrix(string name, string component, string expected)
    {
        using var checkpoint = Checkpoint.Open(FamilyCase.Of(name).Write(_folder.At("model")));
        Assert.Equal([expected], TrainedParameters.Select(checkpoint.Config, 2, 1, [component]));
    }

    [Theory]
    [InlineData("GPT-2", "c_proj", "more than one matrix")]
    [InlineData("Phi-3", "q_proj", "self_attn.qkv_proj")]
    public void Select_NameThatFitsNoMatrix_NamesTheOnesThereAre(string name, string component, string said)
    {
        using var checkpoint = Checkpoint.Open(FamilyCase.Of(name).Write(_folder.At("model")));
        Assert.Contains(
            said,
            Assert.Throws<UserInputException>(() => TrainedParameters.Select(checkpoint.Config, 2, 1, [component])).Message,
            StringComparison.Ordinal
        );
    }

    [Theory, MemberData(nameof(Names))]
    public void Gradients_OfTheSharedPasses_AreThoseOfWholePasses(string name)
    {
        using var checkpoint = Checkpoint.Open(FamilyCase.Of(name).Write(_folder.At("model")));
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        var batch = new TokenBatch([Ids(9, 1), Ids(19, 2)], 0);
        foreach (var component in new[] { "mlp.down_proj", "all" })
        {
            using var trained = new TrainedParameters(model, TrainedParameters.Select(checkpoint.Config, 2, 2, [component]));
            using var scope = NewDisposeScope();
            var passes = new LayerPasses(model, trained, 2);
            IList<Tensor> Gradients((Tensor Updated, Tensor Frozen) states) =>
                autograd.grad([(states.Updated.pow(2) - states.Frozen.detach() * states.Updated.pow(3)).mean()], [.. trained.Leaves]);
            foreach (
                var ((whole, shared), tensor) in Gradients(passes.RunPlainly(batch)).Zip(Gradients(passes.Run(batch))).Zip(trained.Names)
            )
            {
                Assert.True(whole.abs().max().item<float>() > 0, tensor);
                GoldenCases.CloseRelative(whole, shared, 1e-4, tensor);
            }
        }
    }

    [Theory, MemberData(nameof(Names))]
    public void RetainLosses_WithTheEmbeddingAmongTheTrained_AreThoseOfPlainLogits(string name)
    {
        using var checkpoint = Checkpoint.Open(FamilyCase.Of(name).Write(_folder.At("model")));
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        var names = TrainedParameters.Select(checkpoint.Config, 1, 100, ["all"], above: 100, embedding: true);
        Assert.Contains(checkpoint.Config.Architecture.EmbeddingWeight, names);
        Assert.Equal(!checkpoint.Config.TiedEmbeddings, names.Contains(checkpoint.Config.Architecture.HeadWeight));
        using var trained = new TrainedParameters(names, checkpoint.LoadStored, float32, CPU);
        trained.MixWithNoise(0.3, seed: 8);
        using var scope = NewDisposeScope();
        var passes = new LayerPasses(model, trained, 1);
        var batch = new TokenBatch([Ids(9, 1), Ids(19, 2)], 0);

        // Slowly: text by text, whole passes from each model's own embedding.
        Tensor Slowly(Func<Tensor, Tensor, Tensor, Tensor> loss) => cat([.. batch.Sequences.Select(text =>
        {
            var alone = new TokenBatch([text], padId: 0);
            using var context = alone.Context(model);
            var ids = alone.InputIds(CPU);
            Tensor LogP(CausalLM which) => which.Logits(ids, context)[0].log_softmax(-1);
            return loss(LogP(model).detach(), LogP(trained.Updated(model)), ids[0]);
        })]).mean();
        Tensor Divergence()
        {
            var (logits, kept) = passes.RunToOutput(batch);
            return ReferenceLosses.KullbackLeibler(logits, kept);
        }

        foreach (
            var (kind, slow, fast) in new[]
            {
                ("outputs", Slowly((before, after, _) => (before.exp() * (before - after)).sum(1)), Divergence()),
                (
                    "tokens",
                    Slowly((_, after, ids) => -after[..^1].gather(1, ids[1..].unsqueeze(1)).squeeze(1)),
                    passes.NextTokenLosses(batch).mean()
                ),
            }
        )
        {
            GoldenCases.CloseRelative(slow.detach(), fast.detach(), 1e-4, kind);
            foreach (
                var ((whole, shared), tensor) in autograd
                    .grad([slow], [.. trained.Leaves])
                    .Zip(autograd.grad([fast], [.. trained.Leaves]))
                    .Zip(trained.Names)
            )
            {
                Assert.True(whole.abs().max().item<float>() > 0, tensor);
                GoldenCases.CloseRelative(whole, shared, 1e-3, $"{kind}, {tensor}");
            }
        }

        GoldenCases.CloseRelative(passes.RunPlainly(batch).Updated.detach(), passes.Run(batch).Updated.detach(), 1e-4, "target layer");
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

    public static TheoryData<string, string, string, string> Refused =>
        new()
        {
            { "Llama 2", "model_type", "\"mixtral\"", "gpt_neox, gpt2" },
            { "Llama 2", "rope_scaling", """{"rope_type": "default", "partial_rotary_factor": 0.5}""", "partial_rotary_factor" },
            {
                "Phi-3.5 (longrope)",
                "rope_scaling",
                """{"rope_type": "longrope", "short_factor": [1.0], "long_factor": [1.0]}""",
                "4 of each"
            },
            { "Phi-3.5 (longrope)", "partial_rotary_factor", "0.4", "even number" },
            {
                "Gemma 3",
                "layer_types",
                """["full_attention", "chunked_attention", "full_attention", "full_attention"]""",
                "chunked_attention"
            },
            { "Gemma 2", "hidden_activation", "\"relu2\"", "gelu_pytorch_tanh" },
            { "SmolLM, SmolLM2", "rope_interleaved", "true", "rope_interleaved" },
            { "Phi-4-mini (partial rotation)", "interpolate_factor", "2", "only 1" },
            { "SmolLM3", "no_rope_layers", "[1, 0]", "2 entries" },
            { "GPT-NeoX, Pythia", "rotary_pct", "0.4", "even number" },
            { "GPT-NeoX, Pythia", "quantization_config", """{"bits": 4}""", "unquantised" },
            { "GPT-2", "activation_function", "\"relu\"", "gelu_new" },
            { "GPT-2", "n_head", "5", "must divide n_embd" },
            { "Gemma 3 with a vision part", "text_config", "null", "text_config" },
        };

    [Theory, MemberData(nameof(Refused))]
    public void Config_NotSupported_IsRefusedByName(string name, string key, string value, string said)
    {
        var folder = FamilyCase.Of(name).Write(_folder.At("model"));
        TinyCheckpoint.Edit(folder, config => config[key] = JsonNode.Parse(value));
        Assert.Contains(
            said,
            Assert.ThrowsAny<UnsupportedCheckpointException>(() => Checkpoint.Open(folder)).Message,
            StringComparison.Ordinal
        );
    }

    // Keys that stand in published files and change no number here.
    [Theory]
    [InlineData("SmolLM, SmolLM2", """{"is_llama_config": true, "rope_interleaved": false, "transformers.js_config": {"dtype": "q4"}}""")]
    [InlineData("SmolLM3", """{"pretraining_tp": 2, "use_sliding_window": false, "attention_dropout": 0.1}""")]
    [InlineData("Llama 2", """{"pretraining_tp": 1, "_name_or_path": "x", "unsloth_version": "1", "neftune_noise_alpha": 5}""")]
    [InlineData("Zephyr", """{"attention_dropout": 0.0, "pad_token_id": 2, "use_cache": true}""")]
    [InlineData("Qwen2, Qwen2.5", """{"use_mrope": false, "max_window_layers": 28}""")]
    [InlineData("Phi-3", """{"auto_map": {"AutoConfig": "a.B"}, "rope_scaling": null}""")]
    [InlineData(
        "Phi-4-mini (partial rotation)",
        """{"interpolate_factor": 1, "full_attn_mod": 1, "lm_head_bias": false, "mlp_bias": false}"""
    )]
    [InlineData("Gemma 2", """{"sliding_window_size": 4096}""")]
    [InlineData("GPT-NeoX, Pythia", """{"attention_probs_dropout_prob": 0, "hidden_dropout_prob": 0, "hidden_act": "gelu_fast"}""")]
    [InlineData(
        "GPT-2",
        """{"_num_labels": 1, "output_past": true, "n_special": 0, "predict_special_tokens": true, "task_specific_params": {"text-generation": {"max_length": 50}}}"""
    )]
    public void Config_KeysOfPublishedFiles_AreRead(string name, string keys)
    {
        var folder = FamilyCase.Of(name).Write(_folder.At("model"));
        TinyCheckpoint.Edit(folder, config =>
        {
            foreach (var (key, value) in JsonNode.Parse(keys)!.AsObject()) config[key] = value?.DeepClone();
        });
        using var checkpoint = Checkpoint.Open(folder);
        Assert.Equal(4, checkpoint.Config.LayerCount);
    }

    [Fact]
    public void LearnedPositions_LongerText_IsRefused()
    {
        var (weights, model) = Checkpoint.LoadModel(FamilyCase.Of("GPT-2").Write(_folder.At("model")), float32, CPU);
        using var owned = weights;
        using var ids = zeros([1, 65], int64);
        Assert.Contains("64 tokens", Assert.Throws<UserInputException>(() => model.Embed(ids)).Message, StringComparison.Ordinal);
    }

    // Version 5 of the Hugging Face library nests the rotation's keys, for Gemma 3 once more by kind of layer.
    [Fact]
    public void Config_NewerFormOfTheSame_GivesTheSameRotations()
    {
        var older = ModelConfig.Load(FamilyCase.Of("Gemma 3").Write(_folder.At("older")));
        var folder = FamilyCase.Of("Gemma 3").Write(_folder.At("newer"));
        TinyCheckpoint.Edit(folder, config =>
        {
            foreach (var key in new[] { "rope_theta", "rope_scaling", "rope_local_base_freq", "sliding_window_pattern" })
                config.Remove(key);
            config["rope_parameters"] = JsonNode.Parse(
                """{"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}"""
            );
            config["layer_types"] = new JsonArray("sliding_attention", "sliding_attention", "full_attention", "sliding_attention");
        });
        var newer = ModelConfig.Load(folder);
        Assert.Equal(older.SlidingWindows, newer.SlidingWindows);
        foreach (var (a, b) in older.Ropes.Zip(newer.Ropes)) Assert.Equal(a!.InverseFrequencies(10), b!.InverseFrequencies(10));
    }
}
