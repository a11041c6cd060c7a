using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Layers;
using Falcon.Methods;
using Falcon.Methods.Baselines;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Baselines;

/// <summary>The catalog is complete, and each method's step on a tiny model gives the numbers of its formula.</summary>
public sealed class MethodCatalogTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Names => [.. MethodCatalog.Names];

    private UnlearnConfig Config(string method)
    {
        var preset = UnlearnConfig.Of(method);
        return preset with
        {
            Model = TinyCheckpoint.Write(_folder.At("source")),
            Data = preset.Data with
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
                BatchSize = 3,
            },
            Layers = preset.Layers with { Target = preset.Layers.Parameters is [LayerSettings.WholeModel] ? null : 2, Trained = 2 },
            Steps = method == "ssd" ? 0 : 8,
        };
    }

    [Theory, MemberData(nameof(Names))]
    public void Build_EveryName_GivesAnObjectiveAndItsPresetIsValid(string method)
    {
        var config = Config(method);
        config.Validate();
        using var bench = new Bench(config);

        using var objective = bench.Objective();

        Assert.Equal(method, config.Method);
        Assert.NotNull(objective);
    }

    [Fact]
    public void Catalog_EveryMethod_HasAName_ASource_AndTrialsThatFitItsPresets()
    {
        Assert.Equal(MethodCatalog.Names.Count, MethodCatalog.Names.Distinct().Count());
        foreach (var method in MethodCatalog.All)
        {
            Assert.True(method.Summary.Length > 20 && method.Source.Length > 5, method.Name);
            foreach (var preset in method.Presets)
            {
                var config = UnlearnConfig.Of(method.Name, preset.Name);
                Assert.Equal(8, preset.Trials.Count);
                Assert.Equal(
                    8,
                    preset.Trials.Select(trial => ConfigFile.Write(ConfigFile.Read(null, trial.Settings, config))).Distinct().Count()
                );
            }
        }
    }

    [Fact]
    public void Preset_UnknownOrOfAnotherMethod_IsRefused()
    {
        string Fault(string method, string? preset) =>
            Assert.Throws<UserInputException>(() => MethodCatalog.Preset(method, preset)).Message;
        Assert.Contains("known are falcon", Fault("npi", null), StringComparison.Ordinal);
        Assert.Contains("of the method falcon", Fault("npo", "paper"), StringComparison.Ordinal);
        Assert.Contains("falcon-anew", Fault("falcon", "papier"), StringComparison.Ordinal);
    }

    [Fact]
    public void Gradients_AtTheStart_AreOfThePublishedFormulas()
    {
        // Where model and frozen model are the same, NPO and DPO have the margin 0: 2/beta log 2 times gamma; the divergences are 0.
        Assert.Equal(2 / 0.1 * Math.Log(2), First("npo").ForgetLoss, 1e-3);
        Assert.Equal(2 / 0.1 * Math.Log(2), First("idk-dpo").ForgetLoss, 1e-3);
        Assert.Equal(0, First("kl").RetainLoss, 1e-6);
        Assert.Equal(0, First("scrub").ForgetLoss, 1e-5);
        Assert.Equal(10, First("circuit-breakers").ForgetLoss, 1e-4);
        Assert.Equal(0, First("rmu").RetainLoss);
        var ascent = First("grad-ascent");
        Assert.True(ascent.ForgetLoss < 0 && ascent.RetainLoss == 0);
        Assert.Equal(ascent.ForgetLoss, First("grad-diff").ForgetLoss);
        Assert.Equal(-ascent.ForgetLoss, First("task-vector").ForgetLoss);
        Assert.Equal(First("grad-diff").RetainLoss, First("npo").RetainLoss);
        Assert.Equal(0, First("undial").RetainLoss);
    }

    [Theory]
    [InlineData("rmu")]
    [InlineData("adaptive-rmu")]
    [InlineData("circuit-breakers")]
    public void Gradients_OfActivations_AreOfTheFormulaInDoubles(string method)
    {
        using var scope = NewDisposeScope();
        var config = Config(method);
        using var bench = new Bench(config);
        using var generator = new Generator(3);
        using (no_grad())
            for (var i = 0; i < bench.Inputs.Trained.Names.Count; i++)
                bench.Inputs.Trained.Load(
                    i,
                    bench.Inputs.Trained.Masters[i].Whole() + randn(bench.Inputs.Trained.Leaves[i].shape, generator: generator) * 0.1
                );
        var batch = bench.Batch(step: 2, generator);
        using var objective = bench.Objective();
        using var draw = new Generator(new SeededRandom(config.Seed, "control vector").NextUInt64(), CPU);
        var direction = RmuLoss
            .ControlVector(bench.Inputs.Frozen.Config.HiddenSize, draw)
            .data<float>()
            .Select(x => (double)x)
            .ToArray();

        var gradients = objective.Gradients(batch);

        var (updated, frozen) = bench.States(batch.Texts.Forget, batch.Scheduled.Forget);
        var (kept, original) = bench.States(batch.Texts.Retain, batch.Scheduled.Retain);
        double alpha = config.Objective.Retain[0].Weight[0],
            coefficient = config.Objective.Forget[0] switch
            {
                Misdirection fixedLength => fixedLength.Coefficient,
                AdaptiveMisdirection adaptive => adaptive.Coefficient,
                _ => 0,
            },
            progress = 2.0 / (2 * config.Steps);
        var forget = updated
            .Zip(frozen, (u, f) => method switch
                {
                    "rmu" => u.Zip(direction, (x, d) => Math.Pow(x - coefficient * d, 2)).Average(),
                    "adaptive-rmu" => u.Zip(direction, (x, d) => Math.Pow(x - coefficient * Norm(f) * d, 2)).Average(),
                    _ => alpha * (1 - progress) * Math.Max(0, u.Zip(f, (x, y) => x * y).Sum() / (Norm(u) * Norm(f))),
                })
            .Average();
        var retain = kept.Zip(original, (u, f) =>
                method == "circuit-breakers"
                    ? alpha * progress * Norm([.. u.Zip(f, (x, y) => x - y)])
                    : alpha * u.Zip(f, (x, y) => (x - y) * (x - y)).Average()
            )
            .Average();
        Assert.Equal(forget, gradients.ForgetLoss, 1e-4 * Math.Abs(forget));
        Assert.Equal(retain, gradients.RetainLoss, 1e-4 * Math.Abs(retain));
    }

    [Fact]
    public void Gradients_Llmu_TeachesAnswersOfOtherQuestions()
    {
        using var scope = NewDisposeScope();
        var config = Config("llmu");
        using var bench = new Bench(config);
        using var generator = new Generator(3);
        var batch = bench.Batch(step: 0, generator);
        double Loss(double gamma, double lambda)
        {
            var terms = config.Objective with { Forget = [new Ascent { Weight = gamma }, new RandomAnswers { Weight = lambda }] };
            using var objective = new ComposedObjective(terms, bench.Inputs);
            return objective.Gradients(batch).ForgetLoss;
        }

        // The parts add up, and the second one is the mean likelihood loss of 5 texts a prompt: near log V on random weights, never
        // negative.
        Assert.Equal(Loss(0.5, 0) + Loss(0, 1), Loss(0.5, 1), 1e-4);
        Assert.InRange(Loss(0, 1), 1, 20);
        Assert.Equal(-0.5 * batch.ForgetAnswers().MeanNll(bench.Inputs.Frozen).item<float>(), Loss(0.5, 0), 1e-5);
    }

    [Theory, MemberData(nameof(Names))]
    public void Gradients_LeaveNoTensorBehind(string method)
    {
        if (method == "ssd") return; // has no steps
        using var scope = NewDisposeScope();
        using var bench = new Bench(Config(method));
        using var objective = bench.Objective();
        using var generator = new Generator(3);
        var batch = bench.Batch(step: 0, generator);
        TensorLeaks.Check(2 * bench.Inputs.Trained.Names.Count, results =>
        {
            var gradients = objective.Gradients(batch);
            results.AddRange(gradients.Forget.Concat(gradients.Retain));
        });
    }

    private static double Norm(double[] vector) => Math.Sqrt(vector.Sum(x => x * x));

    private ObjectiveGradients First(string method)
    {
        using var scope = NewDisposeScope();
        using var bench = new Bench(Config(method));
        using var objective = bench.Objective();
        using var generator = new Generator(3);
        var gradients = objective.Gradients(bench.Batch(step: 0, generator));
        Directory.Delete(_folder.At("source"), recursive: true);
        return gradients;
    }

    /// <summary>Model, texts and parameters of a configuration, as a run has them.</summary>
    private sealed class Bench : IDisposable
    {
        private readonly Checkpoint _checkpoint;
        private readonly Weights _weights;
        private readonly ObjectiveSettings _objective;

        public Bench(UnlearnConfig config)
        {
            _checkpoint = Checkpoint.Open(config.Model);
            _weights = _checkpoint.LoadWeights(float32, CPU);
            var frozen = new CausalLM(_checkpoint.Config, _weights);
            var prompts = PromptEncoder.Plain(HfTokenizer.Load(config.Model));
            var trained = new TrainedParameters(
                frozen,
                TrainedParameters.Select(_checkpoint.Config, config.Layers.Target ?? 0, config.Layers.Trained, config.Layers.Parameters)
            );
            _objective = config.Objective;
            var needs = config.Objective.Needs;
            Inputs = new TermInputs(frozen, trained)
            {
                Passes = needs.UseTarget() ? new LayerPasses(frozen, trained, config.Layers.Target!.Value) : null,
                Topics = TopicTexts.Read(config.Data, prompts),
                Data = config.Data,
                Prompts = prompts,
                Seed = config.Seed,
                Steps = config.Steps,
            };
        }

        public ComposedObjective Objective() => new(_objective, Inputs);

        public TermInputs Inputs { get; }

        public StepBatch Batch(int step, Generator generator)
        {
            var topic = Inputs.Topics[0];
            TokenBatch Tokens(IReadOnlyList<int[]> texts, int[] chosen) => new([.. chosen.Select(i => texts[i])], 0);
            return new StepBatch(
                new ScheduledBatch(step, 0, [0, 10, 4], [1, 2, 11]),
                topic,
                Tokens(topic.Forget, [0, 10, 4]),
                Tokens(topic.Retain, [1, 2, 11]),
                0,
                generator
            );
        }

        /// <summary>Hidden states of every token at the target layer, each text by itself and without padding.</summary>
        public (List<double[]> Updated, List<double[]> Frozen) States(IReadOnlyList<int[]> texts, IReadOnlyList<int> chosen)
        {
            using var scope = NewDisposeScope();
            List<double[]> Of(CausalLM model) => [.. chosen.SelectMany(i =>
            {
                using var context = model.Causal(texts[i].Length);
                var ids = tensor(texts[i].Select(id => (long)id).ToArray(), 1, texts[i].Length);
                var states = model.HiddenStates(ids, Inputs.Passes!.Target, context).detach();
                return Enumerable.Range(0, texts[i].Length).Select(t => states[0, t].data<float>().Select(x => (double)x).ToArray());
            })];
            return (Of(Inputs.Trained.Updated(Inputs.Frozen)), Of(Inputs.Frozen));
        }

        public void Dispose()
        {
            Inputs.Trained.Dispose();
            _weights.Dispose();
            _checkpoint.Dispose();
        }
    }
}
