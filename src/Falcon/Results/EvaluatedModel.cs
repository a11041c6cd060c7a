using Falcon.Runtime;

namespace Falcon.Results;

/// <summary>Which model a number belongs to.</summary>
/// <param name="Path">The model directory, as it was given.</param>
/// <param name="Sha256">Hash of the weights (<see cref="ContentHash.OfModel"/>).</param>
/// <param name="Files">
/// Hashes of every file that shapes a number: the weights with their index, <c>config.json</c>, <c>generation_config.json</c>, the
/// tokenizer's files and the chat template.
/// </param>
public sealed record EvaluatedModel(string Path, string Sha256, IReadOnlyList<FileHash> Files)
{
    private static readonly string[] SideFiles =
    [
        "config.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "generation_config.json",
        "model.safetensors.index.json",
    ];

    /// <summary>Hashes a model directory.</summary>
    /// <exception cref="UserInputException">The directory is missing, or has no weights.</exception>
    public static EvaluatedModel Of(string directory, CancellationToken cancellation = default)
    {
        var weights = ContentHash.OfModel(directory, cancellation);
        var others = SideFiles
            .Select(name => (Name: name, File: System.IO.Path.Combine(directory, name)))
            .Where(item => File.Exists(item.File))
            .Select(item => new FileHash(item.Name, FileSize.Of(item.File), ContentHash.OfFile(item.File, cancellation)));
        return new EvaluatedModel(directory, weights.Sha256, [.. weights.Files, .. others]);
    }

    /// <summary>Everything about the model that a number depends on, as one text.</summary>
    internal string Identity => string.Join(' ', Files.Select(file => $"{file.Name}:{file.Sha256}"));
}
