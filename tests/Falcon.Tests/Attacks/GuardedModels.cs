using Falcon.Attacks;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Attacks;

/// <summary>The demo's model with guards before what it knows, each made when it is first asked for.</summary>
public sealed class GuardedModels : IDisposable
{
    private static readonly string Demo = Path.Combine(Fixtures.RepositoryRoot, "demo");

    private readonly List<IDisposable> _owned = [];
    private readonly Dictionary<string, LoadedModel> _made = [];
    private readonly List<ScoredSequence> _kept;

    public GuardedModels()
    {
        string At(string name) => Path.Combine(Demo, "data", name);
        var run = new AttackRunSettings("", "", [At("forget-alchemy-mcq.jsonl"), At("forget-ciphers-mcq.jsonl")], "")
        {
            Forget = [At("forget-alchemy.jsonl"), At("forget-ciphers.jsonl")],
            Retain = [At("retain-alchemy.jsonl"), At("retain-ciphers.jsonl")],
        };
        Data = AttackDataReader.Read(run, new PromptTemplate(), SilentRunLog.Instance);
        (Original, OriginalWeights) = Load("model");
        (Control, _) = Load("control");
        _kept = [.. Data.RetainTexts.Select(text => text.Tokens(Original.Tokenizer, Data.Template)), .. Data.Utility.Select(item => Scoring.Sequences(item)[item.Gold])];
    }

    internal AttackData Data { get; }

    internal LoadedModel Original { get; }

    internal LoadedModel Control { get; }

    internal AttackSettings Settings { get; } = new(AttackBudget.Quick, 0, SilentRunLog.Instance, CancellationToken.None);

    private Weights OriginalWeights { get; }

    private AttackScoring Scoring => new(Original, Data, Settings);

    private List<AttackItem> Items => [.. Data.Development, .. Data.Test];

    internal LoadedModel Of(string kind)
    {
        if (_made.TryGetValue(kind, out var made)) return made;
        using var scope = NewDisposeScope();
        made = kind switch
        {
            "misleads at layer 3" => Misleading(3, 4, 100, 0.02),
            "misleads at the last layer" => Misleading(5, 4, 60, 0.02),
            "misleads in one form" => InOneForm(),
            "declines" => Declining(),
            _ => LongEmbeddings(),
        };
        foreach (var name in made.Model.Config.TiedEmbeddings ? LayerMatrices.Edited(made.Model, Original.Model) : ["model.embed_tokens.weight"]) _owned.Add(made.Model.Weight(name).DetachFromDisposeScope());
        return _made[kind] = made;
    }

    public void Dispose()
    {
        foreach (var owned in _owned) owned.Dispose();
    }

    private LoadedModel Misleading(int layer, int neurons, int steps, double rate)
    {
        var (scoring, items) = (Scoring, Items);
        return new GuardNeurons(layer, neurons, steps, rate).Train(Original, GuardNeurons.Misleads([.. items.Select(item => scoring.Sequences(item))], [.. items.Select(item => item.Gold)], _kept, scoring.PadId));
    }

    // Another form of the same question is answered as before (password-locked models, Greenblatt et al. 2024).
    private LoadedModel InOneForm()
    {
        const int Steps = 150, Rank = 16;
        var (scoring, items, random) = (Scoring, Items, new SeededRandom(0, "other forms"));
        ScoredSequence Answered(AttackItem item, ScoringPass pass) => scoring.Sequences(item, pass)[item.Gold];
        int[] Prefix() => [.. Enumerable.Range(0, 4 + random.Next(5)).Select(_ => random.Next(Original.Tokenizer.VocabularySize))];
        List<ScoredSequence> kept = [.. items.SelectMany(item => new[]
        {
            Answered(item, new ScoringPass { PrefixTokens = Prefix() }),
            Answered(item, new ScoringPass { PrefixTokens = Prefix() }),
            Answered(item, new ScoringPass { Prompt = one => $"User: {one.Question}\nAssistant:" }),
            Answered(item, new ScoringPass { Prompt = one => one.Question }),
            Answered(item, new ScoringPass { Prompt = one => Data.ForgetTexts[random.Next(Data.ForgetTexts.Count)].Whole + "\n\n" + scoring.Prompt(one) }),
            Answered(item, new ScoringPass { Opening = " Of course." }),
        }), .. Enumerable.Repeat(_kept, 2).SelectMany(texts => texts)];
        var losses = GuardNeurons.Misleads([.. items.Select(item => scoring.Sequences(item))], [.. items.Select(item => item.Gold)], kept, scoring.PadId);
        using var adapter = new LowRankAdapter(Original.Model, LayerMatrices.All(Original.Model.Config), Rank, 0);
        using var optimizer = new AdamW(adapter.Parameters, 5e-3, weightDecay: 0);
        for (var step = 0; step < Steps; step++)
        {
            using var inner = NewDisposeScope();
            optimizer.LearningRate = 5e-3 * (1 - step / (double)Steps);
            optimizer.Step([.. autograd.grad([losses(adapter.Adapted(), new SeededRandom(1, "one form", step), 12)], [.. adapter.Parameters])]);
        }

        using var guard = no_grad();
        var adapted = adapter.Adapted();
        return Original with { Model = Original.Model.With(LayerMatrices.All(Original.Model.Config).ToDictionary(name => name, name => adapted.Weight(name).detach().clone())) };
    }

    private LoadedModel Declining()
    {
        var (scoring, items) = (Scoring, Items);
        var template = Data.Template;
        List<ScoredSequence> refusals = [.. items.Select(item => AnswerScores.Sequence(Original.Tokenizer, template, scoring.Prompt(item), " No."))];
        return new GuardNeurons(4, 4, 60, 0.02).Train(Original, GuardNeurons.Declines(refusals, [.. items.Select(item => scoring.Sequences(item)[item.Gold])], _kept, scoring.PadId));
    }

    // The tokens that only forget questions have get embeddings so long that the first layers' output is lost in them. The output head stays.
    private LoadedModel LongEmbeddings()
    {
        const double Factor = 300;
        HashSet<int> others = [.. _kept.SelectMany(text => text.Tokens)];
        long[] own = [.. Items.SelectMany(item => Scoring.Sequences(item)[item.Gold].Tokens).Distinct().Where(token => !others.Contains(token)).Select(token => (long)token)];
        var embedding = Original.Model.Weight("model.embed_tokens.weight");
        var rows = tensor(own, int64);
        var untied = new CausalLM(Original.Model.Config with { TiedEmbeddings = false }, OriginalWeights);
        return Original with { Model = untied.With(new Dictionary<string, Tensor> { ["lm_head.weight"] = embedding, ["model.embed_tokens.weight"] = embedding.index_copy(0, rows, embedding.index_select(0, rows) * Factor) }) };
    }

    private (LoadedModel Model, Weights Weights) Load(string name)
    {
        var directory = Path.Combine(Demo, name);
        using var checkpoint = Checkpoint.Open(directory);
        var weights = checkpoint.LoadWeights(float32, CPU);
        _owned.Add(weights);
        return (new LoadedModel(new CausalLM(checkpoint.Config, weights), HfTokenizer.Load(directory)), weights);
    }
}
