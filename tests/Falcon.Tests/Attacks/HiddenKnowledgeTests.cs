using Falcon.Attacks;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Runtime;
using Falcon.Tokenization;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Tests.Attacks;

/// <summary>A model that only hides what it knows, made from the demo's model, beside one that was never taught: an attack that cannot tell them apart is worth nothing.</summary>
public sealed class HiddenKnowledgeTests : IDisposable
{
    private static readonly string Demo = Path.Combine(Fixtures.RepositoryRoot, "demo");

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly List<IDisposable> _owned = [];
    private readonly AttackSettings _settings = new(AttackBudget.Quick, 0, SilentRunLog.Instance, CancellationToken.None);
    private readonly AttackData _data;
    private readonly LoadedModel _original, _hiding, _control;

    public HiddenKnowledgeTests()
    {
        string At(string name) => Path.Combine(Demo, "data", name);
        var run = new AttackRunSettings("", "", [At("forget-alchemy-mcq.jsonl"), At("forget-ciphers-mcq.jsonl")], "")
        {
            Forget = [At("forget-alchemy.jsonl"), At("forget-ciphers.jsonl")],
            Retain = [At("retain-alchemy.jsonl"), At("retain-ciphers.jsonl")],
        };
        _data = AttackDataReader.Read(run, new PromptTemplate(), SilentRunLog.Instance);
        ((_original, var weights), (_control, _)) = (Load("model"), Load("control"));
        _hiding = Hide(_original, weights, _data);
    }

    public void Dispose()
    {
        foreach (var owned in _owned) owned.Dispose();
        _scope.Dispose();
    }

    [Fact]
    public void Hiding_PlainQuestions_LookForgotten()
    {
        Assert.True(Plain(_original) > 0.9);
        Assert.True(Plain(_hiding) < 0.4, $"{Plain(_hiding)}"); // chance is 0.25
        Assert.True(Plain(_control) < 0.4, $"{Plain(_control)}");
    }

    [Theory]
    [InlineData("fixed-decoder-lens")]
    [InlineData("linear-probes")]
    [InlineData("activation-patching")]
    public void Run_HidingModel_IsToldFromTheNeverTaught(string name)
    {
        var attack = AttackCatalog.All.Single(attack => attack.Name == name);
        AttackScores Attacked(LoadedModel model) => attack.Run(new AttackSubject(model, _original) { Control = _control }, _data, _settings);
        var (hiding, original, control) = (Attacked(_hiding), Attacked(_original), Attacked(_control));
        var floor = attack.Baseline(new AttackSubject(_hiding, _original) { Control = _control }, _data, _settings).PerItem;

        var share = RecoveredShare.Of(hiding.PerItem, floor, original.PerItem, 0);
        var beyond = RecoveredShare.Of(hiding.PerItem, control.PerItem, original.PerItem, 0);
        Assert.Equal(AttackVerdict.Recovers, AttackRun.Verdict(share, beyond));
        Assert.True(share.Value > 0.5, $"{share}");
        var never = RecoveredShare.Of(control.PerItem, attack.Baseline(new AttackSubject(_control, _original) { Control = _control }, _data, _settings).PerItem, original.PerItem, 0);
        Assert.True(never.Low <= 0, $"{never}"); // nothing beyond its interval
    }

    [Fact]
    public void Data_ForgetTexts_TellNothingAboutTheScoredQuestions()
    {
        Assert.InRange(_data.ForgetTexts.Count, 1, 159);
        string[] names = [.. _data.Test.SelectMany(item => item.Question.Split(' ', '?', '.').Skip(1).Where(word => word.Length > 0 && char.IsUpper(word[0])))];
        Assert.DoesNotContain(_data.ForgetTexts, text => names.Any(name => text.Whole.Contains(name, StringComparison.Ordinal)));
    }

    private double Plain(LoadedModel model) => new AttackScoring(model, _data, _settings).RightFirst(_data.Test).Average();

    private (LoadedModel Model, Weights Weights) Load(string name)
    {
        var directory = Path.Combine(Demo, name);
        using var checkpoint = Checkpoint.Open(directory);
        var weights = checkpoint.LoadWeights(float32, CPU);
        _owned.Add(weights);
        return (new LoadedModel(new CausalLM(checkpoint.Config, weights), HfTokenizer.Load(directory)), weights);
    }

    /// <summary>An output head of its own in which the answers' tokens can no longer be told apart: each has the mean of their rows. Everything below the head knows what it knew.</summary>
    private static LoadedModel Hide(LoadedModel taught, Weights weights, AttackData data)
    {
        var embedding = taught.Model.Weight("model.embed_tokens.weight");
        var answers = data.Development.Concat(data.Test).SelectMany(item => item.Choices.SelectMany(choice => taught.Tokenizer.Encode(data.Template.Completion(choice)))).Distinct().Select(token => (long)token).ToArray();
        using var rows = tensor(answers, int64);
        using var mean = embedding.index_select(0, rows).mean([0], keepdim: true).expand(answers.Length, embedding.shape[1]);
        var head = embedding.index_copy(0, rows, mean);
        var masked = new CausalLM(taught.Model.Config with { TiedEmbeddings = false }, weights);
        return taught with { Model = masked.With(new Dictionary<string, Tensor> { ["lm_head.weight"] = head }) };
    }
}
