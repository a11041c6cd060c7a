using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Falcon.Attacks;
using Falcon.Attacks.Protocol;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Runs.Attacking;

/// <summary>
/// The results of every attack on every model. A result that an interrupted run, or another run with the same models, has left on disk is
/// read; any other is computed and kept.
/// </summary>
internal sealed class AttackCells(
    RunDirectory directory,
    AttackRunSettings settings,
    AttackModels models,
    AttackData data,
    string dataKey,
    EnvironmentRecord environment,
    AttackSettings attackSettings,
    RunContext context
)
{
    private readonly Dictionary<string, AttackCell> _known = [];

    /// <summary>Whether there is a model that was never taught.</summary>
    public bool HasControl => models.Loaded.ContainsKey(AttackRole.Control);

    /// <summary>The attack on a model.</summary>
    public AttackCell Of(Attack attack, AttackRole role) =>
        Get(attack.Name, attack, role, () => attack.Run(models.Subject(role), data, attackSettings))!;

    /// <summary>The model without the attack.</summary>
    public AttackCell Baseline(Attack attack, AttackRole role)
    {
        // What all attacks share has one cell, whichever attack asks for it.
        var owner = attack.BaselineName == PlainQuestions.Instance.BaselineName ? PlainQuestions.Instance : attack;
        return Get($"{owner.BaselineName}.unattacked", owner, role, () => owner.Baseline(models.Subject(role), data, attackSettings))!;
    }

    /// <summary>The attack without its knowledge on the unlearned model; null where the attack has no such form.</summary>
    public AttackCell? Random(Attack attack) =>
        Get($"{attack.Name}.random", attack, AttackRole.Unlearned, () =>
            attack.RunRandom(models.Subject(AttackRole.Unlearned), data, attackSettings)
        );

    private AttackCell? Get(string name, Attack attack, AttackRole role, Func<AttackScores?> compute)
    {
        context.Cancellation.ThrowIfCancellationRequested();
        var key = KeyOf(name, attack, role);
        if (_known.TryGetValue(key, out var known)) return known;
        var file = $"{name}.{JsonNamingPolicy.CamelCase.ConvertName(role.ToString())}";
        var path = directory.PathOf("cells", file + ".json");
        var shared = settings.Cache is null
            ? null
            : Path.Combine(settings.Cache, $"{file}.{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)))[..16]}.json");
        var cell = AttackCell.Find(path, key) ?? (shared is null ? null : AttackCell.Find(shared, key)) ?? Compute(key, compute);
        if (cell is null) return null;
        RequireScores(name, attack, cell.Scores);
        cell.Write(path);
        directory.KeepForResume();
        if (shared is not null) cell.Write(shared);
        return _known[key] = cell;
    }

    // A registered attack may return wrong scores; they are refused before anything is kept.
    private void RequireScores(string name, Attack attack, AttackScores scores)
    {
        // An attack with its own baseline may leave out questions, the same ones in the attack and the baseline.
        if (attack.BaselineName == PlainQuestions.Instance.BaselineName && scores.PerItem.Count != data.Test.Count)
            throw new InvalidOperationException($"the attack {name} gave {scores.PerItem.Count} scores for {data.Test.Count} questions");
        if (scores.PerItem.FirstOrDefault(score => score is not (>= 0 and <= 1), 0) is var wrong && wrong is not (>= 0 and <= 1))
            throw new InvalidOperationException(
                FormattableString.Invariant($"the attack {name} gave the score {wrong}; scores are 0 to 1")
            );
    }

    private static AttackCell? Compute(string key, Func<AttackScores?> compute)
    {
        var clock = Stopwatch.StartNew();
        using var scope = NewDisposeScope();
        return compute() is { } scores ? new AttackCell(key, scores, clock.Elapsed.TotalSeconds) : null;
    }

    // Everything the numbers depend on. Attacks on the other models do not depend on the unlearned model.
    private string KeyOf(string name, Attack attack, AttackRole role)
    {
        var roles = new[] { role, AttackRole.Original, AttackRole.Control }.Distinct().Where(models.Hashes.ContainsKey);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{name} {role} {string.Join(' ', roles.Select(one => $"{one}:{models.Hashes[one].Identity}"))} {settings.Budget} seed "
                + $"{settings.Seed} {JsonSerializer.Serialize(data.PromptForm, ResultJson.LineOptions)} {dataKey} {environment.Falcon} "
                + $"torch {environment.LibTorch} {environment.Device} {environment.DType}{OutsideCode.IdentityOf(attack)}"
        );
    }
}

/// <summary>The result of one attack on one model, as it is kept on disk.</summary>
/// <param name="Key">Everything the numbers depend on; a cell with another key is not used.</param>
/// <param name="Scores">What the attack got.</param>
/// <param name="Seconds">Wall-clock time.</param>
internal sealed record AttackCell(string Key, AttackScores Scores, double Seconds)
{
    /// <summary>The cell of a file; null where there is none with this key.</summary>
    public static AttackCell? Find(string path, string key)
    {
        if (!File.Exists(path)) return null;
        try
        {
            return JsonSerializer.Deserialize<AttackCell>(File.ReadAllText(path), ResultJson.LineOptions) is { } cell && cell.Key == key
                ? cell
                : null;
        }
        catch (JsonException)
        {
            return null; // another file of that name: the attack is run again and the file replaced
        }
    }

    /// <summary>Writes the cell, whole or not at all.</summary>
    public void Write(string path) => OutputFile.Write(path, JsonSerializer.Serialize(this, ResultJson.LineOptions) + "\n");
}
