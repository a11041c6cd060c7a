using System.Text.Json;
using Falcon.Data;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Runs.Evaluating;

/// <summary>What the run that made a model says about it, in the <c>config.json</c> beside the model directory <c>model/</c>.</summary>
/// <param name="ConfigPath">The run's configuration file.</param>
/// <param name="Form">The form in which the run asked its model; null where the run does not say.</param>
/// <param name="StartModel">
/// Directory of the model that the run began with: the one that the run made of a GGUF file or an adapter, else as written there; null
/// where the run names none.
/// </param>
public sealed record RunForm(string ConfigPath, PromptForm? Form, string? StartModel)
{
    private static readonly JsonDocumentOptions Reading = new() { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip };

    /// <summary>Reads the run of a model directory; null where the directory is not part of a run directory.</summary>
    /// <exception cref="UserInputException">The run's configuration cannot be read, or its template lacks a placeholder.</exception>
    public static RunForm? Of(string modelDirectory)
    {
        modelDirectory = ModelSource.Of(modelDirectory)?.Model ?? modelDirectory; // the run is that of the model that was merged into
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(modelDirectory));
        var path = Path.Combine(Path.GetDirectoryName(full) ?? full, "config.json");
        if (Path.GetFileName(full) != "model" || !File.Exists(path))
            return null;
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
            var made = Path.Combine(Path.GetDirectoryName(path)!, RunOriginal.Folder);
            if (Directory.Exists(made))
                return new RunForm(path, FormOf(data), made);
            return new RunForm(
                path,
                FormOf(data),
                root.TryGetProperty("model", out var model) && model.ValueKind == JsonValueKind.String ? model.GetString() : null
            );
        }
        catch (JsonException error)
        {
            throw new UserInputException(
                $"{path}: the run's configuration cannot be read ({error.Message}), which names the prompt form of {modelDirectory}; "
                    + $"restore it, or copy the model elsewhere to choose another form.",
                error
            );
        }
    }

    /// <summary>The date that the configuration of a run says; null where there is no such file or date.</summary>
    internal static DateOnly? DateIn(string configPath)
    {
        if (!File.Exists(configPath))
            return null;
        using var document = JsonDocument.Parse(File.ReadAllBytes(configPath), Reading);
        return document.RootElement.TryGetProperty("data", out var data) ? FormOf(data)?.Date : null;
    }

    // Runs of before there was a choice were plain, and say only how.
    private static PromptForm? FormOf(JsonElement data)
    {
        T? Read<T>(string name) => data.TryGetProperty(name, out var value) ? value.Deserialize<T>(ConfigFile.Options) : default;
        var template = Read<PromptTemplate>("template")?.Validate();
        if (!data.TryGetProperty("form", out _))
            return template is null ? null : new PromptForm { Kind = FormKind.Plain, Template = template };
        return new PromptForm
        {
            Kind = Read<FormKind>("form"),
            System = Read<string>("system"),
            Date = Read<DateOnly?>("date"),
            Template = template ?? new(),
        };
    }
}
