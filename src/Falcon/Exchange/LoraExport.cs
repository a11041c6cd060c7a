using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Exchange.Adapters;
using Falcon.Models.Families;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Exchange;

/// <summary>One adapted matrix.</summary>
/// <param name="Module">Full name of the module in the base model, such as <c>model.layers.3.mlp.down_proj</c>.</param>
/// <param name="Rank">Rank of its factors.</param>
/// <param name="Norm">Frobenius norm of the difference between the matrices of the two models.</param>
/// <param name="Residual">
/// Frobenius norm of what the factors leave out, as a share of <paramref name="Norm"/>: 0 when the adapter holds the whole change, 1 when
/// it holds none of it.
/// </param>
public sealed record AdaptedMatrix(string Module, int Rank, double Norm, double Residual);

/// <summary>What <see cref="LoraExport.Write"/> wrote; saved as <c>export.json</c> beside the adapter.</summary>
/// <param name="Adapter">The adapter directory, as a full path.</param>
/// <param name="Rank">The requested rank.</param>
/// <param name="Parameters">Number of weights in the adapter.</param>
/// <param name="Residual">Frobenius norm of everything that is left out, as a share of the norm of the whole change.</param>
/// <param name="Matrices">The adapted matrices.</param>
/// <param name="Scores">
/// The scores of the base, the unlearned model and the base with the adapter; empty when no evaluation was requested.
/// </param>
public sealed record LoraExportResult(
    string Adapter,
    int Rank,
    long Parameters,
    double Residual,
    IReadOnlyList<AdaptedMatrix> Matrices,
    IReadOnlyList<AdapterScore> Scores
)
{
    /// <summary>How the scores were measured where that is a choice, such as the token before each text of a perplexity.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}

/// <summary>
/// Writes the difference of two models as a LoRA adapter in PEFT's layout: for every changed matrix W the truncated singular value
/// decomposition of W' - W, as a product B A with scale 1 (Hu et al., "LoRA", 2021).
/// </summary>
public static class LoraExport
{
    private static readonly string[] Embeddings = ["embed_tokens", "wte", "wpe", "embed_in"];

    /// <summary>Writes the adapter directory: adapter_config.json, adapter_model.safetensors (float32), README.md, export.json.</summary>
    /// <param name="baseDirectory">The original model.</param>
    /// <param name="modelDirectory">The unlearned model.</param>
    /// <param name="rank">Rank of the adapter; a matrix with a smaller side below it gets the smaller side as rank.</param>
    /// <param name="outDirectory">The directory to write; it appears whole or not at all.</param>
    /// <param name="evaluation">
    /// How to measure the base, the unlearned model and the base with the adapter; null for no measurement.
    /// </param>
    /// <param name="context">Log, device, cancellation.</param>
    /// <exception cref="UserInputException">
    /// The models have different tensors, nothing changed, a tensor changed that an adapter cannot hold (an embedding, a norm, a bias), or
    /// one whose module PEFT would not find; the message names it.
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
        TensorLists.RequireSame(before, after);
        using var output = RunDirectory.Create(outDirectory);
        var changed = Changed(before, after, context);
        var architecture = ModelConfig.Load(baseDirectory);
        var transposed = architecture.Architecture.Transposed;

        List<AdaptedMatrix> matrices = [];
        List<SafetensorsSource> factors = [];
        using var scope = NewDisposeScope();
        foreach (var name in changed)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            var isTransposed = transposed && !name.StartsWith(architecture.Architecture.OutputHead, StringComparison.Ordinal);
            var (b, a, norm, residual) = Factors(before.Locate(name), after.Locate(name), rank, isTransposed);
            var module = Module(name, architecture, before);
            matrices.Add(new AdaptedMatrix(module, (int)a.shape[0], norm, norm > 0 ? residual / norm : 0));
            factors.Add(Source(AdapterFiles.TensorName(module, 'A'), a));
            factors.Add(Source(AdapterFiles.TensorName(module, 'B'), b));
            context.Log.Progress("decomposing", matrices.Count, changed.Count, name);
        }

        SafetensorsWriter.Write(output.PathOf(AdapterFiles.Weights), factors);
        var lower = matrices.Where(matrix => matrix.Rank < rank).ToDictionary(matrix => matrix.Module, matrix => matrix.Rank);
        var origin = ModelOrigin.Of(baseDirectory);
        var modules = matrices.Select(matrix => matrix.Module);
        File.WriteAllText(
            output.PathOf(AdapterFiles.Configuration),
            AdapterFiles.ConfigurationText(origin.HubName, rank, modules, lower, transposed)
        );
        var leftOut = matrices.Sum(matrix => Math.Pow(matrix.Norm * matrix.Residual, 2));
        var whole = Math.Max(double.Epsilon, matrices.Sum(matrix => matrix.Norm * matrix.Norm));
        var (scores, notes) = evaluation is null
            ? ([], [])
            : AdapterScores.Measure(baseDirectory, modelDirectory, output.WorkingPath, evaluation, context);
        var result = new LoraExportResult(
            output.FinalPath,
            rank,
            factors.Sum(factor => factor.Shape.Aggregate(1L, (product, size) => product * size)),
            Math.Sqrt(leftOut / whole),
            matrices,
            scores
        )
        {
            Notes = notes,
        };
        output.WriteJson("export.json", result);
        var baseName = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(baseDirectory)));
        File.WriteAllText(output.PathOf("README.md"), AdapterCard.Text(result, origin, baseName));
        output.Commit();
        return result;
    }

    private static SafetensorsSource Source(string name, Tensor factor) =>
        new(name, "F32", factor.shape, stream => TensorBytes.Write(factor, stream));

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
                $"{after.Directory}: every tensor is the same as in {before.Directory}; there is no change to export. "
                    + "Give the model after unlearning with --model."
            );
        var other = changed.FirstOrDefault(name =>
            before.Locate(name).Entry.Shape.Length != 2
            || !name.EndsWith(".weight", StringComparison.Ordinal)
            || Embeddings.Any(part => name.Contains(part, StringComparison.Ordinal))
        );
        return other is null
            ? changed
            : throw new UserInputException(
                $"{after.Directory}: the tensor \"{other}\" changed, which is no matrix of a linear layer and so cannot be part of a "
                    + "LoRA adapter; export the change with patch create instead."
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
                $"{after.Item1.Path}: the tensor \"{after.Item2.Name}\" or its original holds values that are not finite; "
                    + "nothing was written. Get an intact copy."
            );
        return (b.MoveToOuterDisposeScope(), a.MoveToOuterDisposeScope(), norm, residual);
    }

    // Files of some models use other names than the class of today, by which PEFT finds the modules.
    private static string Module(string tensor, ModelConfig config, WeightFiles files) =>
        BaseModules.InClass(config, tensor[..^".weight".Length])
        ?? throw new UserInputException(
            $"{files.Directory}: the changed tensor \"{tensor}\" belongs to no module of the class {config.ModelType} "
                + "that is known here, so "
                + "PEFT might load an adapter for it and change nothing; export the change with patch create instead."
        );
}
