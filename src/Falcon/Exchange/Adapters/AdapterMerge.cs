using System.Text.Json.Nodes;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;

namespace Falcon.Exchange.Adapters;

/// <summary>
/// Merges a LoRA adapter in PEFT's layout into its base model, tensor by tensor: no more than one matrix is in memory. The sums are made in
/// float32 and then rounded to the number type of the file.
/// </summary>
public static class AdapterMerge
{
    private const string Index = "model.safetensors.index.json";
    private static readonly string[] FloatingTypes = ["F32", "BF16", "F16"];

    /// <summary>Writes the merged model: names, files and everything else as in the base directory.</summary>
    /// <param name="baseDirectory">The base model.</param>
    /// <param name="adapterDirectory">The adapter.</param>
    /// <param name="outDirectory">The directory to write; it appears whole or not at all.</param>
    /// <param name="dtype">Number type of all weights: float32, bfloat16 or float16; <c>auto</c> keeps each tensor's own.</param>
    /// <param name="context">Log and cancellation.</param>
    /// <exception cref="UserInputException">A file is missing, or the output exists.</exception>
    /// <exception cref="UnsupportedCheckpointException">
    /// Base or adapter are damaged or do not belong together, or the adapter is of a kind that is not merged; the message names key, module
    /// or tensor.
    /// </exception>
    /// <exception cref="NumericalFailureException">A merged value is not finite.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; nothing is left.</exception>
    public static AdapterMergeRecord Execute(
        string baseDirectory,
        string adapterDirectory,
        string outDirectory,
        string dtype,
        RunContext context
    )
    {
        var chosen = dtype switch
        {
            "auto" => null,
            "float32" => "F32",
            "bfloat16" => "BF16",
            "float16" => "F16",
            _ => throw new UserInputException($"--dtype is '{dtype}'; it must be auto, float32, bfloat16 or float16."),
        };
        return Write(baseDirectory, adapterDirectory, outDirectory, (stored, _) => chosen ?? stored, withCard: true, context);
    }

    /// <summary>
    /// The same for computing with it: what changed is kept in float32, so that nothing is rounded before it is asked for.
    /// </summary>
    internal static AdapterMergeRecord ForComputing(
        string baseDirectory,
        string adapterDirectory,
        string outDirectory,
        RunContext context
    ) => Write(baseDirectory, adapterDirectory, outDirectory, (stored, changed) => changed ? "F32" : stored, withCard: false, context);

    private static AdapterMergeRecord Write(
        string baseDirectory,
        string adapterDirectory,
        string outDirectory,
        Func<string, bool, string> typeOf,
        bool withCard,
        RunContext context
    )
    {
        using var model = Checkpoint.Open(baseDirectory);
        using var adapter = PeftAdapter.Open(adapterDirectory, model);
        foreach (var note in adapter.Notes)
            context.Log.Warning($"{adapter.Configuration.Path}: {note} fits no adapted module and changes nothing");
        if (File.Exists(Path.Combine(adapterDirectory, "tokenizer.json")))
            context.Log.Warning($"{adapterDirectory}: its tokenizer files are not used; those of the base model are");
        if (adapter.Unties)
            context.Log.Information("the adapter changes only one of embedding and output head, so the merged model no longer ties them");
        using var output = RunDirectory.Create(outDirectory);
        output.RequireFreeSpace(model.Entries.Sum(entry => ByteLength(entry, typeOf)), "the merged model");
        CheckpointWriter.CopyOtherFiles(model.Directory, output.WorkingPath);
        if (adapter.Unties)
            Untie(output.PathOf("config.json"));
        var plan = new MergedTensors(model, adapter);
        var (done, total) = (0, plan.Count);
        Dictionary<string, JsonNode?> map = [];
        var bytes = 0L;
        foreach (var path in model.WeightFiles)
        {
            var name = Path.GetFileName(path);
            List<SafetensorsSource> sources = [];
            foreach (var tensor in plan.Of(path))
            {
                var type = FloatingTypes.Contains(tensor.StoredType) ? typeOf(tensor.StoredType, tensor.IsChanged) : tensor.StoredType;
                map.Add(tensor.Name, name);
                bytes += (long)SafetensorsDType.ByteLength(type, tensor.Shape, out _)!.Value;
                sources.Add(new SafetensorsSource(tensor.Name, type, tensor.Shape, stream =>
                    {
                        context.Cancellation.ThrowIfCancellationRequested();
                        tensor.Write(type, stream);
                        context.Log.Progress("merging", ++done, total, tensor.Name);
                    }));
            }

            SafetensorsWriter.Write(output.PathOf(name), sources, plan.MetadataOf(path), keepOrder: true);
        }

        if (File.Exists(output.PathOf(Index)))
            WriteIndex(output.PathOf(Index), map, bytes);
        var record = new AdapterMergeRecord(
            output.FinalPath,
            baseDirectory,
            adapterDirectory,
            [.. adapter.Changes.Keys.Order(StringComparer.Ordinal)],
            adapter.TensorCount,
            adapter.Unties,
            HashesOf(adapterDirectory, context.Cancellation),
            ContentHash.OfModel(output.WorkingPath, context.Cancellation).Sha256
        );
        if (withCard)
            MergedCard.Write(output.WorkingPath, model, record, context.Cancellation);
        _ = CheckedAgain(output.WorkingPath);
        output.Commit();
        return record;
    }

    /// <summary>The hashes of an adapter's two files.</summary>
    internal static IReadOnlyList<FileHash> HashesOf(string adapterDirectory, CancellationToken cancellation) =>
        [
            .. new[] { AdapterFiles.Configuration, AdapterFiles.Weights }.Select(name =>
            {
                var path = Path.Combine(adapterDirectory, name);
                return new FileHash(name, FileSize.Of(path), ContentHash.OfFile(path, cancellation));
            }),
        ];

    // What was written is read as any model is.
    private static long CheckedAgain(string directory)
    {
        using var written = Checkpoint.Open(directory);
        return written.ParameterCount;
    }

    private static long ByteLength(SafetensorsEntry entry, Func<string, bool, string> typeOf) =>
        (long)(
            SafetensorsDType.ByteLength(FloatingTypes.Contains(entry.DType) ? typeOf(entry.DType, true) : entry.DType, entry.Shape, out _)
            ?? 0
        );

    private static void Untie(string path)
    {
        var config = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        config["tie_word_embeddings"] = false;
        if (config["text_config"] is JsonObject text)
            text["tie_word_embeddings"] = false;
        File.WriteAllText(path, config.ToJsonString(ResultJson.Options) + "\n");
    }

    private static void WriteIndex(string path, Dictionary<string, JsonNode?> map, long bytes)
    {
        var index = new JsonObject
        {
            ["metadata"] = new JsonObject { ["total_size"] = bytes },
            ["weight_map"] = new JsonObject(map.OrderBy(item => item.Key, StringComparer.Ordinal)),
        };
        File.WriteAllText(path, index.ToJsonString(ResultJson.Options) + "\n");
    }
}

/// <summary>The result of a merge.</summary>
/// <param name="Model">The merged directory, as a full path.</param>
/// <param name="Base">The base model, as given.</param>
/// <param name="Adapter">The adapter, as given.</param>
/// <param name="Changed">Names of the changed tensors.</param>
/// <param name="AdapterTensors">Number of tensors in the adapter.</param>
/// <param name="Untied">Whether a tied output head got weights of its own.</param>
/// <param name="AdapterFiles">Hashes of the adapter's files.</param>
/// <param name="Sha256">One hash for all merged weights (<see cref="ContentHash.OfModel"/>).</param>
public sealed record AdapterMergeRecord(
    string Model,
    string Base,
    string Adapter,
    IReadOnlyList<string> Changed,
    int AdapterTensors,
    bool Untied,
    IReadOnlyList<FileHash> AdapterFiles,
    string Sha256
);
