using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Falcon.Methods;
using Falcon.Methods.Terms;
using Falcon.Runs.Configuration;

namespace Falcon.Research.Tables;

/// <summary>
/// What docs/baselines.md says of the methods, from the catalog itself: terms with their defaults, and a note with the source.
/// </summary>
internal static class MethodPages
{
    /// <summary>The name of the table in a page's marker.</summary>
    public const string TableName = "methods";

    /// <summary>The name of the notes in a page's marker.</summary>
    public const string NotesName = "method-notes";

    private const int Width = 160;

    /// <summary>
    /// One row a method other than FALCON, whose presets docs/falcon.md has: terms with their settings, what is trained, learning rate,
    /// batch and steps.
    /// </summary>
    public static string Table()
    {
        List<IReadOnlyList<string>> rows = [];
        foreach (var method in MethodCatalog.All.Where(method => method != MethodCatalog.Default))
            foreach (var preset in method.Presets)
                rows.Add(Row(method, preset));
        return new ResultTable(
            ["method", "forget terms", "retain terms", "filters and edits", "trains", "rate", "batch", "steps"],
            rows
        ).Markdown();
    }

    /// <summary>One item a method: what it minimises, where it comes from, and its presets where there are several.</summary>
    public static string Notes()
    {
        var text = new StringBuilder();
        foreach (var method in MethodCatalog.All)
        {
            Item(text, "* ", $"`{method.Name}`: {method.Summary} Source: {method.Source}.");
            if (method.Presets.Count == 1) continue;
            foreach (var preset in method.Presets) Item(text, "  * ", $"`{preset.Name}`: {preset.Summary}");
        }

        return text.ToString();
    }

    private static IReadOnlyList<string> Row(UnlearningMethod method, MethodPreset preset)
    {
        var (settings, objective) = (preset.Settings, preset.Settings.Objective);
        var name = preset == method.Default ? $"`{method.Name}`" : $"`{method.Name}`, preset `{preset.Name}`";
        return
        [
            name,
            Terms(objective.Forget),
            Terms(objective.Retain),
            string.Join(", ", new[] { Terms(objective.Filters), Terms(objective.Edits) }.Where(part => part.Length > 0)),
            string.Join(", ", settings.Layers.Parameters),
            objective.HasSteps ? settings.Optimizer.LearningRate.ToString("0.#e-0", CultureInfo.InvariantCulture) : "",
            objective.HasSteps ? settings.Data.BatchSize.ToString(CultureInfo.InvariantCulture) : "",
            settings.Steps.ToString(CultureInfo.InvariantCulture),
        ];
    }

    private static string Terms<T>(IReadOnlyList<T> terms)
        where T : Term => string.Join("; ", terms.Select(Describe));

    private static string Describe<T>(T term)
        where T : Term
    {
        var json = JsonSerializer.SerializeToNode(term, ConfigFile.Options)!.AsObject();
        var settings = json.Where(item => item.Key != TermLists.Kind && item.Value is not null)
            .Select(item => $"{item.Key} {Text(item.Value!)}");
        var listed = string.Join(", ", settings);
        return listed.Length > 0 ? $"{TermKinds.NameOf(term)} ({listed})" : TermKinds.NameOf(term);
    }

    private static string Text(JsonNode value) =>
        value is JsonArray list ? string.Join("/", list.Select(item => item!.ToJsonString())) : value.ToJsonString().Trim('"');

    private static void Item(StringBuilder text, string bullet, string words)
    {
        var line = bullet;
        foreach (var word in words.Split(' '))
        {
            if (line.Length + 1 + word.Length > Width)
            {
                text.Append(line).Append('\n');
                line = new string(' ', bullet.Length) + word;
            }
            else line += line == bullet ? word : " " + word;
        }

        text.Append(line).Append('\n');
    }
}
