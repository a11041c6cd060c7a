using System.Text.Json;
using Falcon.Data;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Runs.Evaluating;

/// <summary>What the run that made a model says about it, in the <c>config.json</c> beside the model directory <c>model/</c>.</summary>
/// <param name="ConfigPath">The run's configuration file.</param>
/// <param name="Template">How question and answer became text in the run; null where the run does not say.</param>
/// <param name="StartModel">Directory of the model that the run began with, as written there; null where the run names none.</param>
public sealed record RunTemplate(string ConfigPath, PromptTemplate? Template, string? StartModel)
{
    private static readonly JsonDocumentOptions Reading = new() { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip };

    /// <summary>Reads the run of a model directory; null where the directory is not part of a run directory.</summary>
    /// <exception cref="UserInputException">The run's configuration cannot be read, or its template lacks a placeholder.</exception>
    public static RunTemplate? Of(string modelDirectory)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(modelDirectory));
        var path = Path.Combine(Path.GetDirectoryName(full) ?? full, "config.json");
        if (Path.GetFileName(full) != "model" || !File.Exists(path)) return null;
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path), Reading);
            var root = document.RootElement;
            if (
                root.ValueKind != JsonValueKind.Object
                || !root.TryGetProperty("data", out var data)
                || data.ValueKind != JsonValueKind.Object
            )
                return null; // some other configuration
            var template = data.TryGetProperty("template", out var written)
                ? written.Deserialize<PromptTemplate>(ConfigFile.Options)?.Validate()
                : null;
            return new RunTemplate(
                path,
                template,
                root.TryGetProperty("model", out var model) && model.ValueKind == JsonValueKind.String ? model.GetString() : null
            );
        }
        catch (JsonException error)
        {
            throw new UserInputException(
                $"{path}: the run's configuration cannot be read ({error.Message}), which names the prompt template of {modelDirectory}; "
                    + $"restore it, or copy the model elsewhere to use the default template.",
                error
            );
        }
    }
}
