using System.Globalization;
using System.Text.Json;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Reporting;

/// <summary>
/// Reads the files of a finished run directory: <c>run.json</c>, and where present <c>config.json</c>, <c>environment.json</c>,
/// <c>layers.json</c>, <c>metrics.jsonl</c> and <c>attacks/attacks.json</c>.
/// </summary>
public static class RunFiles
{
    /// <summary>The folder of a run directory in which reports look for the result of <c>falcon attack</c>.</summary>
    public const string AttacksFolder = "attacks";

    /// <summary>The record of a finished run.</summary>
    /// <exception cref="UserInputException">The directory or its <c>run.json</c> is missing, damaged, or of a newer Falcon.</exception>
    public static RunRecord ReadRecord(string directory)
    {
        if (!Directory.Exists(directory))
            throw new UserInputException(
                $"{directory}: there is no such directory; name a run directory of falcon unlearn or falcon demo."
            );
        var path = Path.Combine(directory, "run.json");
        if (!File.Exists(path))
            throw new UserInputException($"{path}: there is no such file; name a finished run directory of falcon unlearn or falcon demo.");
        var record = Parse(path, File.ReadAllText(path), text => JsonSerializer.Deserialize<RunRecord>(text, ResultJson.Options));
        if (record.Version > RunRecord.CurrentVersion)
            throw new UserInputException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{path}: version {record.Version} is newer than this Falcon reads ({RunRecord.CurrentVersion}); update Falcon."
                )
            );
        return record with { Scores = record.Scores ?? [], Questions = record.Questions ?? [], Files = record.Files ?? [] };
    }

    /// <summary>All that a report page says about a run directory.</summary>
    /// <exception cref="UserInputException">A file is missing, damaged, or of a newer Falcon; the message names file and line.</exception>
    public static ReportModel ReadReport(string directory)
    {
        var record = ReadRecord(directory);
        var facts = new List<Fact>();
        if (record.Method is not null) facts.Add(new Fact("Method", record.Method));
        if (record.Layer is { } layer) facts.Add(new Fact("Layer", layer.ToString(CultureInfo.InvariantCulture)));
        if (record.Form is { } form) facts.Add(new Fact("Asked in", form.Describe()));
        facts.Add(new Fact("Time", string.Create(CultureInfo.InvariantCulture, $"{record.Seconds:0.0} s")));
        var file = Path.Combine(directory, AttacksFolder, AttackResult.FileName);
        var attacks = File.Exists(file) ? AttackResult.Read(file) : null;
        var series = ReadSeries(Path.Combine(directory, "metrics.jsonl"));
        return new ReportModel(
            record.Title,
            AttackSection.Weaken(Verdict.Of(record.Scores), attacks),
            record.Scores,
            record.Questions,
            ReadLayers(Path.Combine(directory, "layers.json")),
            [.. series.Where(s => s.Name.Contains("loss", StringComparison.OrdinalIgnoreCase))],
            [.. series.Where(s => s.Name.Contains("cosine", StringComparison.OrdinalIgnoreCase))],
            facts,
            ReadEnvironment(Path.Combine(directory, "environment.json")),
            ReadText(Path.Combine(directory, "config.json")),
            record.Files
        )
        {
            Attacks = attacks,
        };
    }

    /// <summary>
    /// The numeric fields of a JSON-lines file over its field <c>step</c>, one curve a field, in order of first appearance; empty where the
    /// file is absent.
    /// </summary>
    /// <exception cref="UserInputException">A line is not a JSON object; the message names file and line.</exception>
    public static IReadOnlyList<StepSeries> ReadSeries(string path)
    {
        if (!File.Exists(path)) return [];
        var points = new Dictionary<string, List<(double, double)>>();
        var lineNumber = 0;
        foreach (var line in File.ReadLines(path))
        {
            lineNumber++;
            if (string.IsNullOrWhiteSpace(line))
                continue;
            var entry = Parse(string.Create(CultureInfo.InvariantCulture, $"{path}, line {lineNumber}"), line, text =>
                JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(text)
            );
            if (!entry.TryGetValue("step", out var step) || step.ValueKind != JsonValueKind.Number)
                continue;
            foreach (var (name, value) in entry)
            {
                if (name == "step" || value.ValueKind != JsonValueKind.Number) continue;
                if (!points.TryGetValue(name, out var curve)) points[name] = curve = [];
                curve.Add((step.GetDouble(), value.GetDouble()));
            }
        }
        return [.. points.Select(p => new StepSeries(Words(p.Key), p.Value))];
    }

    private static List<LayerScore> ReadLayers(string path)
    {
        if (!File.Exists(path)) return [];
        return Parse(path, File.ReadAllText(path), text =>
        {
            using var document = JsonDocument.Parse(text);
            var root = document.RootElement;
            var list = root.ValueKind == JsonValueKind.Object ? root.GetProperty("layers") : root;
            return list.Deserialize<List<LayerScore>>(ResultJson.Options);
        });
    }

    private static List<Fact> ReadEnvironment(string path) => !File.Exists(path)
        ? []
        : Parse(path, File.ReadAllText(path), text => JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(text)?
            .Where(p => p.Value.ValueKind != JsonValueKind.Null).Select(p => new Fact(Words(p.Key), p.Value.ToString())).ToList());

    private static string? ReadText(string path) => File.Exists(path) ? File.ReadAllText(path).TrimEnd() : null;

    private static T Parse<T>(string where, string text, Func<string, T?> parse)
    {
        try
        {
            return parse(text) ?? throw new JsonException("the value is null");
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException)
        {
            throw new UserInputException($"{where}: not the JSON that Falcon writes ({error.Message}); make the run again.", error);
        }
    }

    // forgetLoss -> Forget loss
    private static string Words(string name)
    {
        var words = string.Concat(name.Select(c => char.IsUpper(c) ? " " + char.ToLowerInvariant(c) : c.ToString()));
        return char.ToUpperInvariant(words[0]) + words[1..];
    }
}
