using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Results;

/// <summary>
/// What a model directory was made from for a run: a GGUF file, or a base model and an adapter. Stands beside the directory, as
/// <c>DIRECTORY.source.json</c>, so that what is copied from the directory does not name the machine's folders.
/// </summary>
/// <param name="Model">The model as the user named it: a GGUF file or a directory.</param>
/// <param name="Adapter">The adapter's directory as the user named it; null for none.</param>
/// <param name="Files">Hashes of the GGUF file, or of the base's weight files, and of the adapter's files.</param>
/// <param name="Sha256">One hash for the weights that were made (<see cref="ContentHash.OfModel"/>).</param>
public sealed record ModelSource(string Model, string? Adapter, IReadOnlyList<FileHash> Files, string Sha256)
{
    private const string Suffix = ".source.json";

    /// <summary>What a directory was made from; null for a directory that the user named.</summary>
    /// <exception cref="UserInputException">The file that says so is damaged.</exception>
    public static ModelSource? Of(string directory)
    {
        var path = PathOf(directory);
        if (!File.Exists(path))
            return null;
        try
        {
            return
                JsonSerializer.Deserialize<ModelSource>(File.ReadAllBytes(path), ResultJson.Options)
                    is { Model: not null, Files: not null, Sha256: not null } source
                ? source
                : throw new JsonException("model, files or sha256 are missing");
        }
        catch (JsonException error)
        {
            throw new UserInputException(
                $"{path}: it cannot be read ({error.Message.TrimEnd('.')}); make the model beside it again.",
                error
            );
        }
    }

    /// <summary>Writes the file beside a directory.</summary>
    public void WriteBeside(string directory) =>
        OutputFile.Write(PathOf(directory), JsonSerializer.Serialize(this, ResultJson.Options) + "\n");

    /// <summary>The model as the user named it, with its adapter.</summary>
    public string Text => Adapter is null ? Model : $"{Model} with {Adapter}";

    private static string PathOf(string directory) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory)) + Suffix;
}
