using System.Globalization;
using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Gguf;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// Writes a Hugging Face directory as a GGUF file for llama.cpp, Ollama and LM Studio, with a Modelfile beside it. A model that llama.cpp
/// would not run rightly is refused.
/// </summary>
public static class GgufExport
{
    /// <summary>The end of the name of a model whose special tokens take the white space right of them.</summary>
    internal const string StripsRight = " (phi-3 tokens)";

    private static readonly (string Option, string Type, uint FileType)[] Types =
    [
        ("f32", "F32", 0),
        ("f16", "F16", 1),
        ("bf16", "BF16", 32),
        ("q8_0", "Q8_0", 7),
    ];

    /// <summary>The number types that are written.</summary>
    public static IReadOnlyList<string> TypeNames => [.. Types.Select(type => type.Option)];

    /// <summary>Writes the file, tensor by tensor; it appears whole or not at all, and replaces one of that name.</summary>
    /// <param name="directory">The model.</param>
    /// <param name="type">
    /// f32, f16, bf16 or q8_0: the number type of matrices. Norms, biases, position embeddings and rotary factors are float32 in any case;
    /// a matrix whose rows are no whole blocks of q8_0 is float16.
    /// </param>
    /// <param name="destination">The file, ending in .gguf.</param>
    /// <param name="context">Log and cancellation.</param>
    /// <exception cref="UserInputException">An argument or value cannot be used; the message says what to do.</exception>
    /// <exception cref="UnsupportedCheckpointException">The model is damaged, or llama.cpp would not run it rightly.</exception>
    public static GgufExportRecord Execute(string directory, string type, string destination, RunContext context)
    {
        var (_, typeName, fileType) = Types.FirstOrDefault(one => one.Option == type);
        if (typeName is null)
            throw new UserInputException($"--type is '{type}'; it must be {string.Join(", ", TypeNames)}.");
        var path = Path.GetFullPath(destination);
        if (!GgufFile.IsNamed(path) || Directory.Exists(path))
            throw new UserInputException($"--out is '{destination}'; it must name a file that ends in .gguf.");
        var modelfile = Path.Combine(Path.GetDirectoryName(path)!, OllamaModelfile.Name);
        if (File.Exists(modelfile) && !OllamaModelfile.IsOurs(modelfile))
            throw new UserInputException($"{modelfile}: a Modelfile of your own is there; choose another folder for --out.");
        RequireNotQuantised(directory);

        using var checkpoint = Checkpoint.Open(directory);
        var tokenizer = HfTokenizer.Load(directory);
        var stops = StopTokens.Of(checkpoint.Config, tokenizer);
        var model = new GgufHyperparameters(checkpoint.Config, directory, Configured(directory, "original_max_position_embeddings"));
        var begin = tokenizer.BosId ?? Configured(directory, "bos_token_id");
        var vocabulary = new GgufVocabulary(directory, tokenizer, checkpoint.Config.VocabularySize, begin, stops);
        var tensors = Tensors(checkpoint, model, GgufType.Named(typeName));
        var values = tensors.Sum(tensor => tensor.Shape.Aggregate(1L, (product, size) => product * size));
        List<(string Key, object Value)> metadata =
        [
            ("general.architecture", model.Architecture),
            ("general.type", "model"),
            ("general.name", ModelName(directory, vocabulary.StripsRight)),
            ("general.size_label", SizeLabel(values)),
            .. model.Keys,
            ("general.file_type", fileType),
            ("general.quantization_version", 2u),
            .. vocabulary.Keys,
        ];
        var template = OllamaTemplate.Of(tokenizer);
        Write(path, metadata, tensors, context);
        OutputFile.Write(modelfile, OllamaModelfile.Text(Path.GetFileName(path), template, stops, tokenizer));

        List<string> notes = [.. model.Notes, .. vocabulary.Notes];
        if (checkpoint.Config.ModelType == "gemma3")
            notes.Add("Only the language model is in the file; the part that reads images is left out.");
        if (tokenizer.ChatTemplate is not null && template is null)
            notes.Add("The chat template does not show a question and an answer as they are, so the Modelfile has a plain TEMPLATE.");
        if (tokenizer.ChatPrintsDate)
            notes.Add("The chat template prints the date; in the Modelfile's TEMPLATE it is that of this export.");
        foreach (var note in notes)
            context.Log.Warning(note);
        return new GgufExportRecord(
            path,
            modelfile,
            model.Architecture,
            type,
            values,
            tensors.GroupBy(tensor => tensor.Type.Name).ToDictionary(group => group.Key, group => group.Count()),
            new FileInfo(path).Length,
            ContentHash.OfFile(path),
            [.. stops.All.Select(id => tokenizer.Decode([id]))],
            notes
        );
    }

    private static void Write(string path, List<(string Key, object Value)> metadata, List<GgufSource> tensors, RunContext context)
    {
        var done = 0;
        List<GgufSource> watched =
        [
            .. tensors.Select(tensor =>
                tensor with
                {
                    Write = stream =>
                    {
                        context.Cancellation.ThrowIfCancellationRequested();
                        tensor.Write(stream);
                        context.Log.Progress("tensors", ++done, tensors.Count);
                    },
                }
            ),
        ];
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        RunDirectory.RequireFreeSpace(
            path,
            tensors.Sum(tensor => tensor.ByteLength),
            new DriveInfo(Path.GetDirectoryName(path)!).AvailableFreeSpace,
            "the model"
        );
        var partial = path + ".partial";
        try
        {
            using (var stream = new FileStream(partial, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 20))
                GgufWriter.Write(stream, metadata, watched);
            File.Move(partial, path, overwrite: true);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
    }

    private static List<GgufSource> Tensors(Checkpoint checkpoint, GgufHyperparameters model, GgufType type)
    {
        var names = GgufTensorNames.Of(checkpoint.Config, model.Architecture).ToList();
        if (checkpoint.Config.TiedEmbeddings && model.NeedsHead)
            names.Add(names[0] with { File = "output.weight" });
        return [.. model.Tensors, .. names.Select(Source)];

        GgufSource Source(GgufTensorName name)
        {
            var (file, entry) = checkpoint.Locate(name.Hub);
            var shape = name.FileShape;
            var stored =
                shape.Length == 1 || name.File == "position_embd.weight" ? GgufType.Named("F32")
                : shape[^1] % type.BlockSize != 0 ? GgufType.Named("F16")
                : type;
            return new GgufSource(name.File, stored, shape, new GgufExportedTensor(file, entry, name.Order, stored).Write);
        }
    }

    // What libraries that quantise while loading leave beside a matrix.
    private static void RequireNotQuantised(string directory)
    {
        using var files = WeightFiles.Open(directory);
        string[] leftovers =
        [
            "SCB",
            "absmax",
            "quant_map",
            "quant_state",
            "nested_absmax",
            "nested_quant_map",
            "qweight",
            "qzeros",
            "scales",
            "weight_format",
        ];
        var found = files
            .Names.Order(StringComparer.Ordinal)
            .FirstOrDefault(name =>
                name.Split('.').Any(part => leftovers.Contains(part)) || name.Contains("quant_state", StringComparison.Ordinal)
            );
        if (found is not null)
            throw new UnsupportedCheckpointException(
                $"{directory}: the tensor \"{found}\" belongs to quantised weights. Merge or save the model in bfloat16 or float32 first."
            );
    }

    // Numbers of config.json that Falcon has no use for, and llama.cpp's converter passes on.
    private static int? Configured(string directory, string key)
    {
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(directory, "config.json")));
        return
            config.RootElement.TryGetProperty(key, out var value)
            && value.ValueKind == JsonValueKind.Number
            && value.TryGetInt32(out var number)
            ? number
            : null;
    }

    // llama.cpp strips spaces behind special tokens if the name holds "phi-3" or "phi3", and only then.
    private static string ModelName(string directory, bool stripsRight)
    {
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory)));
        return stripsRight
            ? name + StripsRight
            : name.Replace("phi-3", "phi 3", StringComparison.OrdinalIgnoreCase)
                .Replace("phi3", "phi 3", StringComparison.OrdinalIgnoreCase);
    }

    private static string SizeLabel(long values) =>
        values switch
        {
            < 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{Math.Round(values / 1e3)}K"),
            < 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{Math.Round(values / 1e6)}M"),
            _ => string.Create(CultureInfo.InvariantCulture, $"{values / 1e9:0.#}B"),
        };
}

/// <summary>The result of <c>export gguf</c>.</summary>
/// <param name="File">The GGUF file, as a full path.</param>
/// <param name="Modelfile">Ollama's Modelfile beside it.</param>
/// <param name="Architecture">The architecture's name in the file.</param>
/// <param name="Type">Number type that was asked for.</param>
/// <param name="Parameters">Number of values.</param>
/// <param name="Types">Number of tensors of each number type.</param>
/// <param name="Bytes">Size of the file.</param>
/// <param name="Sha256">Its SHA-256.</param>
/// <param name="Stops">Texts of the tokens that end an answer.</param>
/// <param name="Notes">Where runners differ a little from the model, in sentences.</param>
public sealed record GgufExportRecord(
    string File,
    string Modelfile,
    string Architecture,
    string Type,
    long Parameters,
    IReadOnlyDictionary<string, int> Types,
    long Bytes,
    string Sha256,
    IReadOnlyList<string> Stops,
    IReadOnlyList<string> Notes
);
