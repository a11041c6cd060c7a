using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Exchange;

/// <summary>One adapted matrix.</summary>
/// <param name="Module">Full name of the module in the base model, such as <c>model.layers.3.mlp.down_proj</c>.</param>
/// <param name="Rank">Rank of its factors.</param>
/// <param name="Norm">Frobenius norm of the difference between the two models' matrices.</param>
/// <param name="Residual">
/// Frobenius norm of what the factors leave out, as a share of <paramref name="Norm"/>: 0 is the whole change, 1 none of it.
/// </param>
public sealed record AdaptedMatrix(string Module, int Rank, double Norm, double Residual);

/// <summary>What <see cref="LoraExport.Write"/> wrote; also <c>export.json</c> beside the adapter.</summary>
/// <param name="Adapter">The adapter directory, as a full path.</param>
/// <param name="Rank">The rank that was asked for.</param>
/// <param name="Parameters">Number of weights in the adapter.</param>
/// <param name="Residual">Frobenius norm of all that is left out, as a share of the norm of the whole change.</param>
/// <param name="Matrices">The adapted matrices.</param>
/// <param name="Scores">
/// What was measured of the base, the unlearned model and the base with the adapter; empty where nothing was asked for.
/// </param>
public sealed record LoraExportResult(
    string Adapter,
    int Rank,
    long Parameters,
    double Residual,
    IReadOnlyList<AdaptedMatrix> Matrices,
    IReadOnlyList<AdapterScore> Scores
);

/// <summary>
/// Writes the difference of two models as a LoRA adapter in the layout of PEFT: of every changed matrix the truncated singular value
/// decomposition of W' - W, as B A with scale 1.
/// </summary>
public static class LoraExport
{
    private static readonly string[] Embeddings = ["embed_tokens", "wte", "wpe", "embed_in"];

    /// <summary>Writes the adapter directory: adapter_config.json, adapter_model.safetensors (float32), README.md, export.json.</summary>
    /// <param name="baseDirectory">The model before.</param>
    /// <param name="modelDirectory">The model after.</param>
    /// <param name="rank">Rank of the adapter; a matrix whose smaller side is below it gets that.</param>
    /// <param name="outDirectory">The directory to write; it appears whole or not at all.</param>
    /// <param name="evaluation">What to measure of the base, the model after and the base with the adapter; null for nothing.</param>
    /// <param name="context">Log, device, cancellation.</param>
    /// <exception cref="UserInputException">
    /// The models have different tensors, nothing differs, or something changed that an adapter cannot hold (an embedding, a norm, a bias);
    /// the tensor is named.
    /// </exception>
    /// <exception cref="UnsupportedCheckpointException">A weight file is damaged.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; nothing is written.</exception>
    public static LoraExportResult Write(
        string baseDirectory,
        string modelDirectory,
        int rank,
        string outDirectory,
        AdapterEvaluation? evaluation,
        RunContext context
    )
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rank, 1);
        using var before = WeightFiles.Open(baseDirectory);
        using var after = WeightFiles.Open(modelDirectory);
        WeightPatch.RequireSameTensors(before, after);
        using var output = RunDirectory.Create(outDirectory);
        var changed = Changed(before, after, context);
        var transposed = File.Exists(Path.Combine(baseDirectory, "config.json")) && ModelConfigType(baseDirectory) == "gpt2";

        List<AdaptedMatrix> matrices = [];
        List<SafetensorsSource> factors = [];
        using var scope = NewDisposeScope();
        foreach (var name in changed)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            var (b, a, norm, residual) = Factors(
                before.Locate(name),
                after.Locate(name),
                rank,
                transposed && !name.StartsWith("lm_head", StringComparison.Ordinal)
            );
            var module = Module(name, transposed);
            matrices.Add(new AdaptedMatrix(module, (int)a.shape[0], norm, norm > 0 ? residual / norm : 0));
            factors.Add(
                new SafetensorsSource(AdapterFiles.TensorName(module, 'A'), "F32", a.shape, stream => TensorBytes.Write(a, stream))
            );
            factors.Add(
                new SafetensorsSource(AdapterFiles.TensorName(module, 'B'), "F32", b.shape, stream => TensorBytes.Write(b, stream))
            );
            context.Log.Progress("decomposing", matrices.Count, changed.Count, name);
        }

        SafetensorsWriter.Write(output.PathOf(AdapterFiles.Weights), factors);
        var lower = matrices.Where(matrix => matrix.Rank < rank).ToDictionary(matrix => matrix.Module, matrix => matrix.Rank);
        File.WriteAllText(
            output.PathOf(AdapterFiles.Configuration),
            AdapterFiles.ConfigurationText(
                ModelOrigin.Of(baseDirectory).HubName ?? baseDirectory,
                rank,
                matrices.Select(matrix => matrix.Module),
                lower,
                transposed
            )
        );
        var whole = Math.Sqrt(
            matrices.Sum(matrix => Math.Pow(matrix.Norm * matrix.Residual, 2))
                / Math.Max(double.Epsilon, matrices.Sum(matrix => matrix.Norm * matrix.Norm))
        );
        var scores = evaluation is null
            ? []
            : AdapterScores.Measure(baseDirectory, modelDirectory, output.WorkingPath, evaluation, context);
        var result = new LoraExportResult(
            output.FinalPath,
            rank,
            factors.Sum(factor => factor.Shape.Aggregate(1L, (product, size) => product * size)),
            whole,
            matrices,
            scores
        );
        output.WriteJson("export.json", result);
        File.WriteAllText(
            output.PathOf("README.md"),
            AdapterCard.Text(
                result,
                ModelOrigin.Of(baseDirectory),
                Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(baseDirectory)))
            )
        );
        output.Commit();
        return result;
    }

    private static List<string> Changed(WeightFiles before, WeightFiles after, RunContext context)
    {
        List<string> changed = [];
        string[] names = [.. before.Names.Order(StringComparer.Ordinal)];
        for (var i = 0; i < names.Length; i++)
        {
            if (!TensorBytePairs.AreEqual(before.Locate(names[i]), after.Locate(names[i]), context.Cancellation)) changed.Add(names[i]);
            context.Log.Progress("comparing", i + 1, names.Length, names[i]);
        }

        if (changed.Count == 0)
            throw new UserInputException(
                $"{after.Directory}: every tensor is that of {before.Directory}; there is no change to export. Name the model after "
                    + $"unlearning with --model."
            );
        var other = changed.FirstOrDefault(name =>
            before.Locate(name).Entry.Shape.Length != 2
            || !name.EndsWith(".weight", StringComparison.Ordinal)
            || Embeddings.Any(part => name.Contains(part, StringComparison.Ordinal))
        );
        return other is null
            ? changed
            : throw new UserInputException(
                $"{after.Directory}: the tensor \"{other}\" changed, which is no matrix of a linear layer and so cannot be part of a LoRA "
                    + $"adapter; export the change with patch create instead."
            );
    }

    private static (Tensor B, Tensor A, double Norm, double Residual) Factors(
        (SafetensorsFile, SafetensorsEntry) before,
        (SafetensorsFile, SafetensorsEntry) after,
        int rank,
        bool transposed
    )
    {
        using var scope = NewDisposeScope();
        var difference = TensorBytes
            .ToTensor(after.Item1, after.Item2)
            .to(float32)
            .sub_(TensorBytes.ToTensor(before.Item1, before.Item2).to(float32));
        var (b, a, norm, residual) = LowRankFactors.Of(transposed ? difference.T : difference, rank);
        if (!double.IsFinite(norm))
            throw new NumericalFailureException(
                $"{after.Item1.Path}: the tensor \"{after.Item2.Name}\" or its original holds values that are not finite; nothing was "
                    + $"written."
            );
        return (b.MoveToOuterDisposeScope(), a.MoveToOuterDisposeScope(), norm, residual);
    }

    // Files of GPT-2 leave out the name of the inner model, which PEFT's module names have.
    private static string Module(string tensor, bool isGpt2)
    {
        var module = tensor[..^".weight".Length];
        return isGpt2 && !module.StartsWith("transformer.", StringComparison.Ordinal) && module != "lm_head"
            ? $"transformer.{module}"
            : module;
    }

    private static string? ModelConfigType(string directory)
    {
        using var document = System.Text.Json.JsonDocument.Parse(File.ReadAllBytes(Path.Combine(directory, "config.json")));
        return document.RootElement.TryGetProperty("model_type", out var type) ? type.GetString() : null;
    }
}
