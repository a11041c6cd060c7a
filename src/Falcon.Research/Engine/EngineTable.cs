using System.Globalization;
using System.Text;

namespace Falcon.Research.Engine;

/// <summary>The result of <see cref="EngineBenchmark"/> as a Markdown page with how to read it.</summary>
public static class EngineTable
{
    /// <summary>The page.</summary>
    public static string Markdown(EngineBenchmarkRecord result)
    {
        var text = new StringBuilder();
        var machine = result.Environment;
        text.Append(CultureInfo.InvariantCulture, $"# Engine, shape {result.Shape}, layer {result.Layer}\n\n");
        text.Append(
            CultureInfo.InvariantCulture,
            $"{result.Processor}, {machine.Cores} cores, {machine.MemoryBytes / 1e9:0.0} GB; {machine.OperatingSystem}; .NET "
                + $"{machine.DotNet}, TorchSharp {machine.TorchSharp}, libtorch {machine.LibTorch}; {machine.Device}, {machine.DType}; "
        );
        text.Append(
            CultureInfo.InvariantCulture,
            $"{string.Join(", ", result.Settings.Select(item => $"{item.Key} {item.Value}"))}; {machine.Started:yyyy-MM-dd}.\n\n"
        );
        text.Append("| | seconds a step | times less | predicted | layer passes a step | peak memory, GB |\n|---|---|---|---|---|---|\n");
        Row("the authors' loop", result.StepSeconds.Baseline, 1, 1, result.LayerUnits.Baseline, result.PeakBytes.Baseline);
        Row(
            "ours, no caches",
            result.StepSeconds.Uncached,
            result.StepRatio.Uncached,
            result.PredictedRatio.Uncached,
            result.LayerUnits.Uncached,
            result.PeakBytes.Engine
        );
        Row(
            "ours, caches",
            result.StepSeconds.Cached,
            result.StepRatio.Cached,
            result.PredictedRatio.Cached,
            result.LayerUnits.Cached,
            result.PeakBytes.Engine
        );
        Row(
            "ours, streamed",
            result.StepSeconds.Streamed,
            result.StepSeconds.Baseline / result.StepSeconds.Streamed,
            null,
            result.LayerUnits.Streamed,
            result.PeakBytes.Streamed
        );
        if (result.PovSeconds is { } pov)
            text.Append(
                CultureInfo.InvariantCulture,
                $"\nOffset vector: literal {pov["literal"]:0.00} s, official form {pov["official"]:0.00} s ({Text(result.PovRatio)} times "
                    + $"less), falcon form {pov["falcon"]:0.00} s ({Text(result.PovRatioFalcon)} times less, {result.PovDirections} "
                    + $"directions); largest difference of literal and official {result.PovDifference:0.0E+0}, with the literal form in "
                    + $"float64 {result.PovDifferenceExact:0.0E+0}.\n"
            );
        text.Append(
            CultureInfo.InvariantCulture,
            $"Matrix products of the layers alone: {result.GemmFlops / 1e9:0} GFLOP/s; our step without caches reaches "
                + $"{Text(100 * result.GemmFraction)} % of that.\n"
        );
        var difference = result.LossDifference?.ToString("0.0000", CultureInfo.InvariantCulture) ?? "not measured";
        text.Append(CultureInfo.InvariantCulture, $"Largest difference of the forget losses in steps 0 and 1: {difference}.\n");
        if (result.Note.Length > 0)
            text.Append(CultureInfo.InvariantCulture, $"Missing: {result.Note}.\n");
        text.Append(
            """

            How to read it: the step is the median after one warm-up step, each variant in processes of its own that take turns; the offset
            vector is timed apart and is not part of the step. "Predicted" is the ratio of operations (every matrix product and causal
            attention, forward and backward); a layer pass is the forward pass of one layer over one batch. The peak is what the operating
            system counted for the process, loading included. The offset vectors are made from a matrix with singular values 1/i; the
            literal form is a float32 decomposition and up to 1000 rank-one updates, ours is float64, and where singular values lie close
            the literal form is the less exact one.

            """);
        return text.ToString().ReplaceLineEndings("\n");

        void Row(string name, double? seconds, double? ratio, double? predicted, double? units, long? peak) =>
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {name} | {Text(seconds)} | {Text(ratio)} | {Text(predicted)} | {Text(units)} | {Text(peak / 1e9)} |\n"
            );
    }

    private static string Text(double? value) =>
        value is { } number ? number.ToString(number < 10 ? "0.00" : "0.0", CultureInfo.InvariantCulture) : "not measured";
}
