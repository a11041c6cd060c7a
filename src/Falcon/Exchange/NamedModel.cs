using Falcon.Checkpoints;
using Falcon.Exchange.Adapters;
using Falcon.Exchange.Gguf;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Exchange;

/// <summary>
/// A model as a user names it, as a Hugging Face directory: a directory is itself; a GGUF file is imported, and an adapter merged, into a
/// scratch directory that goes with this object.
/// </summary>
public sealed class NamedModel : IDisposable
{
    private readonly string? _scratch;

    private NamedModel(string directory, string? scratch) => (Directory, _scratch) = (directory, scratch);

    /// <summary>The Hugging Face directory.</summary>
    public string Directory { get; }

    /// <summary>Opens what the user named.</summary>
    /// <param name="model">A Hugging Face directory or a GGUF file.</param>
    /// <param name="adapter">A folder with a LoRA adapter in PEFT's layout; null for none.</param>
    /// <param name="context">
    /// Log and cancellation. The dtype <c>auto</c> imports float32 and keeps what an adapter changes in float32.
    /// </param>
    /// <param name="asStored">
    /// Whether what an adapter changes is rounded to the number type of each tensor, as a merged model stores it.
    /// </param>
    /// <exception cref="UserInputException">A file is missing, or cannot be imported or merged.</exception>
    /// <exception cref="UnsupportedCheckpointException">A file is damaged or of a kind that is not supported.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; nothing is left.</exception>
    public static NamedModel Open(string model, string? adapter, RunContext context, bool asStored = false)
    {
        if (!MustBeMade(model, adapter))
            return new NamedModel(model, null);
        var scratch = System.IO.Directory.CreateTempSubdirectory("falcon-model-").FullName;
        try
        {
            var made = Path.Combine(scratch, "model");
            Make(model, adapter, made, asStored, stays: false, context);
            return new NamedModel(made, scratch);
        }
        catch
        {
            System.IO.Directory.Delete(scratch, recursive: true);
            throw;
        }
    }

    /// <summary>
    /// Writes the directory of a model that has to be made, to stay: an import in float32, or the dtype of the context; a merge in each
    /// tensor's own number type.
    /// </summary>
    /// <param name="model">A GGUF file, or a directory with an adapter.</param>
    /// <param name="adapter">As in <see cref="Open"/>.</param>
    /// <param name="directory">The directory to write; it appears whole or not at all.</param>
    /// <param name="context">Log and cancellation.</param>
    /// <returns>What it was made from, as written beside the directory.</returns>
    /// <inheritdoc cref="Open" path="/exception"/>
    public static ModelSource Write(string model, string? adapter, string directory, RunContext context) =>
        Make(model, adapter, directory, asStored: true, stays: true, context);

    /// <summary>Whether a model is not a directory as it stands.</summary>
    /// <param name="model">As in <see cref="Open"/>.</param>
    /// <param name="adapter">As in <see cref="Open"/>.</param>
    public static bool MustBeMade(string model, string? adapter) => adapter is not null || IsGguf(model);

    /// <summary>Whether a path is a GGUF file, by its content or its name.</summary>
    public static bool IsGguf(string path)
    {
        if (!File.Exists(path))
            return false;
        if (Path.GetExtension(path).Equals(".gguf", StringComparison.OrdinalIgnoreCase))
            return true;
        Span<byte> start = stackalloc byte[4];
        using var stream = File.OpenRead(path);
        return stream.ReadAtLeast(start, 4, throwOnEndOfStream: false) == 4 && start.SequenceEqual("GGUF"u8);
    }

    /// <summary>The number type of most weights of a directory, as --dtype spells it; <c>auto</c> for one that is neither.</summary>
    /// <param name="directory">A model directory.</param>
    public static string StoredDType(string directory)
    {
        using var files = WeightFiles.Open(directory);
        return files
            .Files.SelectMany(file => file.Entries)
            .GroupBy(entry => entry.DType)
            .MaxBy(group => group.Sum(one => one.ByteLength))
            ?.Key switch
        {
            "F32" => "float32",
            "BF16" => "bfloat16",
            "F16" => "float16",
            _ => "auto",
        };
    }

    private static ModelSource Make(string model, string? adapter, string directory, bool asStored, bool stays, RunContext context)
    {
        var imported = directory;
        try
        {
            if (IsGguf(model))
            {
                imported = adapter is null ? directory : directory + ".base";
                context.Log.Information(
                    stays ? $"{model}: imported into {Path.GetFileName(directory)}/" : $"{model}: imported into a scratch folder"
                );
                var record = GgufImport.Execute(model, imported, context.DType == "auto" ? "float32" : context.DType, context);
                if (adapter is null)
                    return Noted(directory, new ModelSource(model, null, [OfGguf(model, record.Sha256)], WeightsOf(directory, context)));
            }
            else if (File.Exists(model))
            {
                throw new UserInputException($"{model}: it is a file and no GGUF; give a Hugging Face directory or a .gguf file.");
            }

            context.Log.Information($"{adapter}: merged into {model}{(stays ? "" : " in a scratch folder")}");
            var start = imported == directory ? model : imported;
            var merged = asStored
                ? AdapterMerge.Execute(start, adapter!, directory, "auto", context)
                : AdapterMerge.ForComputing(start, adapter!, directory, context);
            IEnumerable<FileHash> files = IsGguf(model)
                ? [OfGguf(model, ContentHash.OfFile(model, context.Cancellation))]
                : ContentHash.OfModel(model, context.Cancellation).Files;
            return Noted(directory, new ModelSource(model, adapter, [.. files, .. merged.AdapterFiles], merged.Sha256));
        }
        finally
        {
            if (imported != directory && System.IO.Directory.Exists(imported))
                System.IO.Directory.Delete(imported, recursive: true);
        }
    }

    private static FileHash OfGguf(string path, string sha256) => new(Path.GetFileName(path), FileSize.Of(path), sha256);

    private static string WeightsOf(string directory, RunContext context) => ContentHash.OfModel(directory, context.Cancellation).Sha256;

    private static ModelSource Noted(string directory, ModelSource source)
    {
        source.WriteBeside(directory);
        return source;
    }

    /// <summary>Removes the scratch directory.</summary>
    public void Dispose()
    {
        if (_scratch is not null && System.IO.Directory.Exists(_scratch))
            System.IO.Directory.Delete(_scratch, recursive: true);
    }
}
