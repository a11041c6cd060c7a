using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Exchange;

/// <summary>How the effect of an adapter is measured.</summary>
/// <param name="Suites">Names from <see cref="EvaluateRun.SuiteNames"/>.</param>
/// <param name="Data">As in <see cref="EvaluationSettings.Data"/>.</param>
public sealed record AdapterEvaluation(IReadOnlyList<string> Suites, string? Data)
{
    /// <summary>As in <see cref="EvaluationSettings.ForgetSplit"/>.</summary>
    public string? ForgetSplit { get; init; }

    /// <summary>As in <see cref="QuestionSettings.RougeSamples"/>.</summary>
    public int RougeSamples { get; init; } = new QuestionSettings().RougeSamples;
}

/// <summary>A metric of the three models.</summary>
/// <param name="Metric">Its name.</param>
/// <param name="Base">The base model.</param>
/// <param name="Model">The unlearned model.</param>
/// <param name="Adapter">The base model with the adapter merged into it and rounded to the stored dtype.</param>
public sealed record AdapterScore(string Metric, MetricValue Base, MetricValue Model, MetricValue Adapter);

/// <summary>Merges an adapter and measures the three models with the same suites, data and prompt template.</summary>
internal static class AdapterScores
{
    public static List<AdapterScore> Measure(
        string baseDirectory,
        string modelDirectory,
        string adapterDirectory,
        AdapterEvaluation evaluation,
        RunContext context
    )
    {
        var work = Directory.CreateTempSubdirectory("falcon-adapter-").FullName;
        try
        {
            var merged = Path.Combine(work, "merged");
            Merge(baseDirectory, adapterDirectory, merged, Path.Combine(work, "scratch.bin"));
            var run = RunForm.Of(modelDirectory);
            IReadOnlyDictionary<string, MetricValue> Of(string model, string name) => EvaluateRun.Execute(
                new EvaluationSettings(model, evaluation.Suites, evaluation.Data, null, Path.Combine(work, name + ".json"))
                {
                    ForgetSplit = evaluation.ForgetSplit,
                    Questions = new QuestionSettings { RougeSamples = evaluation.RougeSamples },
                    Form = run?.Form,
                    FormSource = run?.ConfigPath,
                    Device = context.Device,
                    DType = context.DType,
                    MemoryLimit = context.MemoryLimit,
                },
                context.Log, context.Clock, context.Cancellation).Metrics;
            var (before, after, adapted) = (Of(baseDirectory, "base"), Of(modelDirectory, "model"), Of(merged, "adapter"));
            return [.. before.Keys.Select(metric => new AdapterScore(metric, before[metric], after[metric], adapted[metric]))];
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    /// <summary>Writes the base model with W + B A in place of each adapted matrix W, with one matrix in memory at a time.</summary>
    /// <param name="baseDirectory">The base model.</param>
    /// <param name="adapterDirectory">An adapter with scale 1, as <see cref="LoraExport"/> writes it.</param>
    /// <param name="merged">The directory to write.</param>
    /// <param name="scratchPath">A temporary file for the sums.</param>
    public static void Merge(string baseDirectory, string adapterDirectory, string merged, string scratchPath)
    {
        const string suffix = ".lora_A.weight";
        const string prefix = "base_model.model.";
        using var checkpoint = Checkpoint.Open(baseDirectory);
        using var adapter = SafetensorsFile.Open(Path.Combine(adapterDirectory, AdapterFiles.Weights));
        using var scratch = new ScratchFile(scratchPath);
        Dictionary<string, BlockTensor> sums = [];
        try
        {
            foreach (var factor in adapter.Entries.Where(entry => entry.Name.EndsWith(suffix, StringComparison.Ordinal)))
            {
                using var scope = NewDisposeScope();
                var module = factor.Name[prefix.Length..^suffix.Length];
                var name = module + ".weight";
                if (checkpoint.Config.ModelType == "gpt2" && !checkpoint.Entries.Any(entry => entry.Name == name))
                    name = name["transformer.".Length..];
                adapter.TryGetEntry(AdapterFiles.TensorName(module, 'B'), out var other);
                var product = TensorBytes.ToTensor(adapter, other!).matmul(TensorBytes.ToTensor(adapter, factor));
                if (checkpoint.Config.ModelType == "gpt2" && module != "lm_head") product = product.T;
                sums.Add(name, BlockTensor.CopyOf(checkpoint.LoadStored(name).to(float32) + product, scratch));
            }

            CheckpointWriter.Write(checkpoint, merged, sums);
        }
        finally
        {
            foreach (var sum in sums.Values) sum.Dispose();
        }
    }
}
