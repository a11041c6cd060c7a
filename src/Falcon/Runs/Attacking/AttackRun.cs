using System.Globalization;
using System.Text.Json;
using Falcon.Attacks;
using Falcon.Attacks.Protocol;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Results;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Runs.Attacking;

/// <summary>
/// Recovery attacks on an unlearned model, on the original, and on a control that was never taught, with one table for all.
/// </summary>
public static class AttackRun
{
    /// <summary>The names of the attacks, in the order of their tiers; registered ones come last (<see cref="AttackCatalog"/>).</summary>
    public static IReadOnlyList<string> Names => AttackCatalog.Names;

    /// <summary>
    /// Runs the attacks and writes the directory: <c>attacks.json</c>, <c>attacks.md</c>, and the result of every attack on every model in
    /// <c>cells/</c>.
    /// </summary>
    /// <param name="settings">What is attacked, with what data, and how hard.</param>
    /// <param name="context">
    /// Log, device, clock, cancellation. An interrupted run leaves its finished cells; the same settings continue from them.
    /// </param>
    /// <returns>The result as written.</returns>
    /// <exception cref="UserInputException">Models or data cannot be used, or an attack is not known.</exception>
    public static AttackResult Execute(AttackRunSettings settings, RunContext context)
    {
        var begin = context.Clock.GetTimestamp();
        var attacks = Chosen(settings.Attacks);
        var run = RunForm.Of(settings.Model);
        using var directory = RunDirectory.Create(settings.Out, RunDirectory.IsInterrupted(settings.Out));
        using var models = AttackModels.Open(settings, context);
        var tokenizer = models.Loaded[AttackRole.Original].Tokenizer;
        var form = (settings.Form ?? run?.Form ?? new PromptForm()).OnDay(context.Today).Resolve(tokenizer.ChatTemplate is not null);
        if (!tokenizer.ChatPrintsDate) form = form with { Date = null };
        context.Log.Information($"prompt form: {form.Describe()}");
        var data = AttackDataReader.Read(settings, form, context.Log);
        var environment = EnvironmentRecord.Capture(models.Compute, (long)settings.Seed, context.Clock, get_num_threads()) with
        {
            DType = models.Compute.DType.ToString().ToLowerInvariant(),
        };
        var attackSettings = new AttackSettings(settings.Budget, settings.Seed, context.Log, context.Cancellation);
        data = data with { Form = ChooseForm(models.Loaded[AttackRole.Original], data, attackSettings) };
        var (files, dataKey) = Hashes(settings, context.Cancellation);
        context.Log.Information(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{data.Development.Count} questions for the attacker, {data.Test.Count} others are scored, by "
                    + $"{(data.Form == AnswerForm.Letter ? "letter" : "full answer")}"
            )
        );

        var rows = new AttackRows(
            new AttackCells(directory, settings, models, data, dataKey, environment, attackSettings, context),
            settings.Seed
        );
        var attacked = Attacked(attacks, rows, leaveOutUnusable: settings.Attacks.Count == 0, context.Log);
        var result = new AttackResult(
            attacked,
            rows.Unattacked(PlainQuestions.Instance),
            settings.Budget,
            settings.Seed,
            Counts(data),
            models.Hashes.ToDictionary(one => JsonNamingPolicy.CamelCase.ConvertName(one.Key.ToString()), one => one.Value),
            files,
            environment,
            context.Clock.GetElapsedTime(begin).TotalSeconds
        )
        {
            Form = form,
            Tiers = rows.Tiers(),
        };
        directory.WriteJson(AttackResult.FileName, result);
        File.WriteAllText(directory.PathOf("attacks.md"), AttackTable.Markdown(result));
        directory.Commit();
        return result;
    }

    private static List<Attack> Chosen(IReadOnlyList<string> names)
    {
        foreach (var name in names)
            if (!Names.Contains(name)) throw new UserInputException($"--attacks {name}: not known; known are {string.Join(", ", Names)}.");
        return [.. AttackCatalog.All.Where(attack => names.Count == 0 || names.Contains(attack.Name))];
    }

    // The attacker asks in the form in which the original answers better.
    private static AnswerForm ChooseForm(LoadedModel original, AttackData data, AttackSettings settings)
    {
        const int Letters = 26;
        if (data.Development.Concat(data.Test).Concat(data.Utility).Any(item => item.Choices.Count > Letters)) return AnswerForm.FullAnswer;
        var scoring = new AttackScoring(original, data, settings);
        double Accuracy(AnswerForm form) => scoring.RightFirst(data.Development, new ScoringPass { Form = form }).Average();
        return Accuracy(AnswerForm.Letter) > Accuracy(AnswerForm.FullAnswer) ? AnswerForm.Letter : AnswerForm.FullAnswer;
    }

    /// <summary>The hashes of the data files, and a text that says which file serves as what.</summary>
    private static (IReadOnlyList<FileHash> Files, string Key) Hashes(AttackRunSettings settings, CancellationToken cancellation)
    {
        IReadOnlyList<string>[] lists = [settings.Data, settings.Forget, settings.Retain, settings.Utility, settings.Texts];
        List<FileHash> files =
        [
            .. lists
                .SelectMany(list => list)
                .Distinct()
                .Select(path => new FileHash(path, new FileInfo(path).Length, ContentHash.OfFile(path, cancellation))),
        ];
        string HashOf(string path) => files.First(file => file.Name == path).Sha256;
        return (files, string.Join('|', lists.Select(list => string.Join(' ', list.Select(HashOf)))));
    }

    private static List<AttackRow> Attacked(List<Attack> attacks, AttackRows rows, bool leaveOutUnusable, IRunLog log)
    {
        List<AttackRow> attacked = [];
        foreach (var attack in attacks)
        {
            log.Progress("recovery attacks", attacked.Count, attacks.Count, attack.Name);
            try
            {
                attacked.Add(rows.Row(attack));
            }
            catch (UserInputException error) when (leaveOutUnusable)
            {
                log.Warning($"{attack.Name} is left out: {error.Message}");
            }
        }

        log.Progress("recovery attacks", attacks.Count, attacks.Count);
        return attacked;
    }

    private static AttackQuestions Counts(AttackData data) =>
        new(
            data.Development.Count,
            data.Test.Count,
            data.Utility.Count,
            data.ForgetTexts.Count,
            data.RetainTexts.Count,
            data.BenignTexts.Count,
            JsonNamingPolicy.CamelCase.ConvertName(data.Form.ToString())
        );
}
