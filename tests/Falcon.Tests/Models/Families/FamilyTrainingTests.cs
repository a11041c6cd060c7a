using System.Globalization;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Layers;
using Falcon.Methods.Falcon;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Models.Families;

/// <summary>Training of every family: matrices by short names, gradients, and files in which only the trained matrices change.</summary>
public sealed class FamilyTrainingTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Names() => [.. FamilyCase.All.Select(item => item.Name)];

    public void Dispose() => _folder.Dispose();

    [Theory, MemberData(nameof(Names))]
    public void Unlearn_TwoSteps_ChangesTheNamedMatricesAndNothingElseOnEveryEngine(string name)
    {
        var family = FamilyCase.Of(name);
        var source = family.Write(_folder.At("source"));
        string[] trained = [.. new[] { 1, 2 }.Select(layer => string.Format(CultureInfo.InvariantCulture, family.DownProjection, layer))];
        var plain = Unlearned(source, "plain", new EngineSettings { Path = EnginePath.Plain });
        foreach (
            var (way, engine) in new[]
            {
                ("cached", new EngineSettings { Cache = CacheUse.On }),
                ("streamed", new EngineSettings { Stream = true, StateInFile = true }),
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

        foreach (var file in new[] { "tokenizer.json", "tokenizer_config.json" })
            Assert.Equal(File.ReadAllBytes(Path.Combine(source, file)), File.ReadAllBytes(_folder.At("cached", "model", file)));
        TinyCheckpoint.RequireSameConfigWithTokenIds(source, _folder.At("cached", "model"));
    }

    private Dictionary<string, float[]> Unlearned(string source, string name, EngineSettings engine)
    {
        var config = UnlearnConfig.FromPreset("falcon") with
        {
            Model = source,
            Data = new DataSettings
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
                BatchSize = 4,
            },
            Layers = new LayerSettings
            {
                Target = 2,
                Trained = 2,
                Parameters = ["mlp.down_proj"],
            },
            // Far above a random model's loss; otherwise the forget gradient is as small as rounding errors.
            Objective = UnlearnConfig.FromPreset("falcon").Objective with
            {
                Forget = [new Contrastive(), new NormPenalty(), new AnswerBound { Level = 50 }],
            },
            Optimizer = UnlearnConfig.FromPreset("falcon").Optimizer with { Kind = OptimizerKind.AdamW, LearningRate = 1e-3 },
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
        var batch = new TokenBatch([FamilyCase.Ids(9, 1), FamilyCase.Ids(19, 2)], 0);
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
        var batch = new TokenBatch([FamilyCase.Ids(9, 1), FamilyCase.Ids(19, 2)], 0);

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
}
