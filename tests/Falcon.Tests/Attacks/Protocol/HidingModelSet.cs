using Falcon.Attacks.Protocol;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Runs.Attacking;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Attacks.Protocol;

/// <summary>
/// The demo's model, one that was never taught, and models that know and do not say, each made when it is first asked for.
/// </summary>
public sealed class HidingModelSet : IDisposable
{
    private static readonly string Demo = Path.Combine(Fixtures.RepositoryRoot, "demo");

    private readonly List<IDisposable> _owned = [];
    private readonly Dictionary<HidingPlace, LoadedModel> _made = [];
    private readonly Dictionary<(string Attack, bool Taught), AttackScores> _scores = [];
    private readonly global::Falcon.Models.Weights _originalWeights;
    private readonly AttackData _half;

    public HidingModelSet()
    {
        var run = new AttackRunSettings("", "", [At("forget-alchemy-mcq.jsonl"), At("forget-ciphers-mcq.jsonl")], "")
        {
            Forget = [At("forget-alchemy.jsonl"), At("forget-ciphers.jsonl")],
            Retain = [At("retain-alchemy.jsonl"), At("retain-ciphers.jsonl")],
        };
        Data = AttackDataReader.Read(run, new PromptForm { Kind = FormKind.Plain }, SilentRunLog.Instance);
        _half = Data with { Development = Half(Data.Development), Test = Half(Data.Test), Utility = Half(Data.Utility) };
        ((Original, _originalWeights), (Control, _)) = (Load("model"), Load("control"));
    }

    /// <summary>All questions.</summary>
    internal AttackData Data { get; }

    /// <summary>
    /// The questions of the attacks on a model: every second one, but all where a benign text brings back so little that it takes them all
    /// to tell.
    /// </summary>
    internal AttackData DataOf(HidingPlace place) => place == HidingPlace.Rounding ? Data : _half;

    /// <summary>The model that says what it knows.</summary>
    internal LoadedModel Original { get; }

    /// <summary>A model that was never taught.</summary>
    internal LoadedModel Control { get; }

    internal LoadedModel Of(HidingPlace place)
    {
        if (_made.TryGetValue(place, out var made)) return made;
        using var scope = NewDisposeScope();
        var data = DataOf(place);
        var training = new HidingTraining(Original, data);
        made = place switch
        {
            HidingPlace.Head => HidingModels.BehindTheHead(Original, _originalWeights, data),
            HidingPlace.Rounding => HidingModels.WithinRounding(Original, data),
            HidingPlace.Neurons => training.BehindNeurons(layer: 4),
            HidingPlace.Steering => HidingModels.Steered(
                Original,
                Path.Combine(Demo, "model"),
                [At("forget-alchemy.jsonl"), At("forget-ciphers.jsonl")],
                [At("keep-alchemy.jsonl"), At("keep-ciphers.jsonl")]
            ),
            HidingPlace.Length => training.WithLongStates(),
            HidingPlace.OneForm => training.InOneForm(),
            _ => training.Refusing(),
        };
        string[] changed = made.Model.Config.TiedEmbeddings ? [.. HidingModels.Replaced(made.Model, Original.Model)] : ["lm_head.weight"];
        foreach (var name in changed) _owned.Add(made.Model.Weight(name).DetachFromDisposeScope());
        return _made[place] = made;
    }

    /// <summary>An attack on the original or the control, made once for all ways of hiding.</summary>
    internal AttackScores Attacked(string attack, bool taught, Func<LoadedModel, AttackScores> run)
    {
        if (!_scores.TryGetValue((attack, taught), out var scores))
            _scores[(attack, taught)] = scores = run(taught ? Original : Control);
        return scores;
    }

    public void Dispose()
    {
        foreach (var owned in _owned) owned.Dispose();
    }

    private static List<T> Half<T>(IReadOnlyList<T> all) => [.. all.Where((_, i) => i % 2 == 0)];

    private static string At(string name) => Path.Combine(Demo, "data", name);

    private (LoadedModel Model, global::Falcon.Models.Weights Weights) Load(string name)
    {
        var directory = Path.Combine(Demo, name);
        using var checkpoint = Checkpoint.Open(directory);
        var weights = checkpoint.LoadWeights(float32, CPU);
        _owned.Add(weights);
        return (new LoadedModel(new CausalLM(checkpoint.Config, weights), HfTokenizer.Load(directory)), weights);
    }
}
