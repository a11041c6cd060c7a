using Falcon.Attacks.Protocol;
using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Runtime.Machine;
using Falcon.Tokenization;

namespace Falcon.Runs.Attacking;

/// <summary>The models of an attack run, opened together. Owns them.</summary>
internal sealed class AttackModels : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    private AttackModels(IReadOnlyList<(AttackRole Role, string Path)> paths, RunContext context)
    {
        Hashes = paths.ToDictionary(one => one.Role, one => EvaluatedModel.Of(one.Path, context.Cancellation));
        List<Checkpoint> checkpoints = [.. paths.Select(one => Own(Checkpoint.Open(one.Path)))];
        Compute = ComputeOptions.Choose(
            context.Device,
            context.DType,
            checkpoints.Aggregate(default(StoredWeights), (sum, checkpoint) => sum + checkpoint.Stored),
            context.MemoryLimit
        );
        context.Log.Information(Compute.Reason);
        var limit = OpenedModel.LimitOf(context.MemoryLimit);
        Dictionary<AttackRole, LoadedModel> loaded = [];
        var bytes = 0L;
        foreach (var (one, checkpoint) in paths.Zip(checkpoints))
        {
            // The limit is that of the process: each model has what those before it left.
            var opened = Own(OpenedModel.Open(checkpoint, Compute, limit - bytes, context.Log));
            bytes += opened.WeightBytes;
            loaded.Add(one.Role, new LoadedModel(opened.Model, HfTokenizer.Load(one.Path)));
        }

        Own(FreedMemory.ReturnAbove(OpenedModel.ReturnAboveFor(bytes, limit)));
        Loaded = loaded;
        foreach (var (one, checkpoint) in paths.Zip(checkpoints)) checkpoint.TellNotes(context.Log, Loaded[one.Role].Tokenizer);
        var original = Loaded[AttackRole.Original];
        foreach (var (role, path) in paths)
        {
            var (config, ours) = (Loaded[role].Model.Config, original.Model.Config);
            if (
                config.LayerCount != ours.LayerCount
                || config.HiddenSize != ours.HiddenSize
                || config.VocabularySize != ours.VocabularySize
            )
                throw new UserInputException(
                    $"{path}: its layers, hidden size or vocabulary differ from those of the original, so the two cannot be compared "
                        + $"state by state; give models of one architecture and tokenizer."
                );
            if (Loaded[role].Tokenizer.DifferenceFrom(original.Tokenizer) is { } difference)
                throw new UserInputException(
                    $"{path}: its tokenizer is not that of the original ({difference}); give models of one architecture and tokenizer."
                );
        }
    }

    /// <summary>Device and dtype.</summary>
    public ComputeOptions Compute { get; }

    /// <summary>The files of the models with their hashes.</summary>
    public IReadOnlyDictionary<AttackRole, EvaluatedModel> Hashes { get; }

    /// <summary>The models.</summary>
    public IReadOnlyDictionary<AttackRole, LoadedModel> Loaded { get; }

    /// <summary>Opens the models of the settings.</summary>
    /// <exception cref="UserInputException">A directory cannot be used, or the architectures differ.</exception>
    public static AttackModels Open(AttackRunSettings settings, RunContext context)
    {
        List<(AttackRole, string)> paths = [(AttackRole.Unlearned, settings.Model), (AttackRole.Original, settings.Original)];
        if (settings.Control is { } control) paths.Add((AttackRole.Control, control));
        return new AttackModels(paths, context);
    }

    /// <summary>The model of a role as the attacked one, with the models it is compared with.</summary>
    public AttackSubject Subject(AttackRole role) =>
        new(Loaded[role], Loaded[AttackRole.Original]) { Control = Loaded.GetValueOrDefault(AttackRole.Control) };

    /// <summary>Closes the models.</summary>
    public void Dispose()
    {
        _owned.Reverse();
        foreach (var owned in _owned) owned.Dispose();
    }

    private T Own<T>(T owned) where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }
}

/// <summary>Which model is attacked.</summary>
internal enum AttackRole
{
    /// <summary>The unlearned model.</summary>
    Unlearned,

    /// <summary>The model before unlearning.</summary>
    Original,

    /// <summary>A model that was never taught the forget set.</summary>
    Control,
}
