using System.Text.Json;
using Falcon.Runtime.Files;

namespace Falcon.Tokenization;

/// <summary>The chat template of a model directory, and what else lies there that could be one.</summary>
/// <param name="Template">The template in use; null for none.</param>
/// <param name="Note">What was found and is not used, in a sentence; null where nothing is left over.</param>
internal sealed record ChatTemplateFiles(string? Template, string? Note)
{
    private const string MainFile = "chat_template.jinja";
    private const string ProcessorFile = "chat_template.json";
    private const string MoreFolder = "additional_chat_templates";
    private const string Default = "default";
    private const string Remedy = "To use one of them, save its text as chat_template.jinja in the model's folder";

    /// <summary>
    /// Finds the template as the Hugging Face library does: chat_template.jinja, or else the <c>chat_template</c> of tokenizer_config.json
    /// (of several, the one named default).
    /// </summary>
    public static ChatTemplateFiles Read(TokenizerFiles files)
    {
        var main = files.PathOf(MainFile);
        List<string> unused = [];
        string? template = null;
        if (File.Exists(main))
        {
            LfsPointer.Refuse(main);
            template = File.ReadAllText(main);
        }

        var configured = files.Configuration["chat_template"];
        List<(string Name, string Text)> several = [.. Several(configured)];
        var single = configured.Json.ValueKind == JsonValueKind.String ? configured.Text() : null;
        if (template is null)
        {
            template = single ?? several.Where(item => item.Name == Default).Select(item => item.Text).FirstOrDefault();
            unused.AddRange(several.Where(item => item.Name != Default).Select(item => $"\"{item.Name}\" in tokenizer_config.json"));
        }
        else if ((single ?? several.Where(item => item.Name == Default).Select(item => item.Text).FirstOrDefault()) is { } other)
        {
            if (other.TrimEnd('\n') != template.TrimEnd('\n'))
                unused.Add("another chat_template in tokenizer_config.json");
        }

        var folder = files.PathOf(MoreFolder);
        if (Directory.Exists(folder))
            unused.AddRange(
                Directory
                    .EnumerateFiles(folder, "*.jinja")
                    .Order(StringComparer.Ordinal)
                    .Select(path => $"{MoreFolder}/{Path.GetFileName(path)}")
            );
        // The file of the processor of a model with images; older versions of the library keep the template there as well.
        if (files.Read(ProcessorFile)["chat_template"] is { IsNull: false } ofProcessor && !IsSame(ofProcessor, template))
            unused.Add(ProcessorFile);
        return new(template, unused.Count == 0 ? null : Sentence(files.Directory, template, unused));
    }

    private static bool IsSame(TokenizerSection one, string? template) =>
        one.Json.ValueKind == JsonValueKind.String && one.Text().TrimEnd('\n') == template?.TrimEnd('\n');

    private static string Sentence(string directory, string? template, List<string> unused) =>
        template is null
            ? $"{directory}: no chat template is used, because none is the default; there {(unused.Count == 1 ? "is" : "are")} "
                + $"{string.Join(", ", unused)}. {Remedy}"
            : $"{directory}: of several chat templates the default one is used, and not {string.Join(", ", unused)}. {Remedy}";

    private static IEnumerable<(string Name, string Text)> Several(TokenizerSection configured)
    {
        if (configured.Json.ValueKind == JsonValueKind.Array)
            return configured.Items().Select(item => (item["name"].TextOrNull() ?? "", item["template"].Text()));
        if (configured.Json.ValueKind == JsonValueKind.Object)
            return configured.Members().Select(item => (item.Name, item.Value.Text()));
        if (configured.Json.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.String)
            return [];
        throw configured.Unsupported("a text, a list of templates with name and template, or an object expected");
    }
}
