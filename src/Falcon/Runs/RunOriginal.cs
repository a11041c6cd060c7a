using Falcon.Methods.Terms;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Runs;

/// <summary>Writes the directory of a model that is not one as it stands: a GGUF file, or a base model with an adapter.</summary>
/// <param name="model">The model as the user named it.</param>
/// <param name="adapter">The adapter as the user named it; null for none.</param>
/// <param name="directory">The directory to write.</param>
/// <param name="context">Log and cancellation.</param>
/// <returns>What it was made from, as written beside the directory.</returns>
public delegate ModelSource OriginalWriter(string model, string? adapter, string directory, RunContext context);

/// <summary>
/// The original of an unlearning run as a directory. Where the user named a GGUF file or an adapter, the run keeps the directory that was
/// made of it, so that later verbs, a resumed run and patches have it.
/// </summary>
/// <param name="Directory">The Hugging Face directory.</param>
/// <param name="Source">What it was made from; null for a directory that the user named.</param>
internal sealed record RunOriginal(string Directory, ModelSource? Source)
{
    /// <summary>The folder in the run directory.</summary>
    public const string Folder = "original";

    private const string OthersFolder = "imported";

    /// <summary>Finds or makes the original; a resumed run takes the one that it made, if its hashes still hold.</summary>
    /// <param name="config">The configuration, with the model as the user named it.</param>
    /// <param name="directory">The run directory.</param>
    /// <param name="write">Makes a directory of what is none; null where the caller cannot.</param>
    /// <param name="context">Log and cancellation.</param>
    /// <exception cref="UserInputException">It cannot be made, or was changed since the run began.</exception>
    public static RunOriginal Of(UnlearnConfig config, RunDirectory directory, OriginalWriter? write, RunContext context)
    {
        if (config.Adapter is null && !File.Exists(config.Model))
            return new RunOriginal(config.Model, null);
        var path = directory.PathOf(Folder);
        if (directory.IsResumed && ModelSource.Of(path) is { } made && System.IO.Directory.Exists(path))
        {
            RequireUnchanged(made, path, context);
            context.Log.Information($"{made.Text}: the run goes on with the directory that it made of it");
            return new RunOriginal(path, made);
        }

        return new RunOriginal(path, Writer(write, config.Model)(config.Model, config.Adapter, path, context));
    }

    /// <summary>
    /// The configuration with directories in place of the GGUF files that it names as control, reference or teacher. They lie in the run
    /// directory until <see cref="RemoveOthers"/>.
    /// </summary>
    public static UnlearnConfig WithOthers(UnlearnConfig config, RunDirectory directory, OriginalWriter? write, RunContext context)
    {
        RemoveOthers(directory);
        string? Made(string? path, string name) =>
            path is not null && File.Exists(path) && Path.GetExtension(path).Equals(".gguf", StringComparison.OrdinalIgnoreCase)
                ? MadeIn(path, directory.PathOf(OthersFolder, name), write, context)
                : path;
        return config with
        {
            Evaluation = config.Evaluation with { Control = Made(config.Evaluation.Control, "control") },
            Monitor = config.Monitor with { Reference = Made(config.Monitor.Reference, "reference") },
            Objective = config.Objective with
            {
                Retain =
                [
                    .. config.Objective.Retain.Select(term =>
                        term is Outputs { Teacher: { } teacher } outputs ? outputs with { Teacher = Made(teacher, "teacher") } : term
                    ),
                ],
            },
        };
    }

    /// <summary>Removes what <see cref="WithOthers"/> made.</summary>
    public static void RemoveOthers(RunDirectory directory)
    {
        var folder = Path.Combine(directory.WorkingPath, OthersFolder);
        if (System.IO.Directory.Exists(folder))
            System.IO.Directory.Delete(folder, recursive: true);
    }

    /// <summary>The hashes for the run's record.</summary>
    public IEnumerable<FileHash> Hashes() => Source?.Files.Select(file => file with { Name = $"source/{file.Name}" }) ?? [];

    private static string MadeIn(string path, string directory, OriginalWriter? write, RunContext context)
    {
        Writer(write, path)(path, null, directory, context);
        return directory;
    }

    private static OriginalWriter Writer(OriginalWriter? write, string model) =>
        write
        ?? throw new UserInputException(
            $"{model}: this caller takes Hugging Face directories only; give UnlearnRun.Execute a writer of originals (NamedModel.Write), "
                + "or import or merge the model first."
        );

    private static void RequireUnchanged(ModelSource made, string path, RunContext context)
    {
        if (ContentHash.OfModel(path, context.Cancellation).Sha256 != made.Sha256)
            throw new UserInputException(
                $"{path}: its weights are not those that the interrupted run made of {made.Text}; remove the folder of the interrupted run "
                    + "and start anew."
            );
        // What the user named may lie elsewhere by now; where it is still there, it must be the same.
        foreach (var (folder, file) in Named(made))
            if (
                Path.Combine(folder, file.Name) is var there
                && File.Exists(there)
                && ContentHash.OfFile(there, context.Cancellation) != file.Sha256
            )
                throw new UserInputException(
                    $"{there}: it is not the file that the interrupted run began with (SHA-256 {file.Sha256[..12]}…); "
                        + "restore it, or remove "
                        + "the folder of the interrupted run and start anew."
                );
    }

    private static IEnumerable<(string Folder, FileHash File)> Named(ModelSource made) =>
        made.Files.Select(file =>
            (
                made.Adapter is not null && file.Name.StartsWith("adapter_", StringComparison.Ordinal) ? made.Adapter
                : File.Exists(made.Model) ? Path.GetDirectoryName(Path.GetFullPath(made.Model))!
                : made.Model,
                file
            )
        );
}
