using System.Diagnostics;
using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Layers;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Runtime.Machine;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Runs;

/// <summary>The choice of a layer without unlearning: load, sample activations, estimate, rank.</summary>
public static class AnalyzeRun
{
    /// <summary>
    /// Measures the layers and writes config.json, environment.json, layers.json and run.json into the working directory of a run, which
    /// the caller commits.
    /// </summary>
    /// <param name="config">The whole configuration.</param>
    /// <param name="directory">The run directory.</param>
    /// <param name="context">Log, device, clock, cancellation.</param>
    /// <param name="modelDirectory">
    /// The directory that was made of the model, where the configuration names a GGUF file or an adapter; null for the model as named.
    /// </param>
    /// <exception cref="UserInputException">Settings or files are wrong.</exception>
    /// <exception cref="NumericalFailureException">A weight is not finite, or no layer has a valid estimate.</exception>
    /// <exception cref="OperationCanceledException">Interrupted.</exception>
    public static LayerAnalysis Execute(
        AnalyzeConfig config,
        RunDirectory directory,
        RunContext context,
        string? modelDirectory = null
    )
    {
        var clock = Stopwatch.StartNew();
        config.Validate();
        modelDirectory ??= config.Model;
        using var checkpoint = Checkpoint.Open(modelDirectory);
        var layers = checkpoint.Config.LayerCount;
        var (first, last) = (config.FirstLayer ?? 0, config.LastLayer ?? layers - 1);
        if (last >= layers)
            throw new UserInputException($"--layers {first}-{last}: the model has layers 0 to {layers - 1}; give a range of them.");
        var tokenizer = HfTokenizer.Load(modelDirectory);
        checkpoint.TellNotes(context.Log, tokenizer);
        var prompts = new PromptEncoder(tokenizer, config.Data.PromptForm.OnDay(context.Today))
        {
            MaxTokens = checkpoint.Config.MaxPositions,
        };
        config = config with { Data = config.Data with { PromptForm = prompts.Form } };
        context.Log.Information($"prompt form: {prompts.Form.Describe()}");
        var topics = TopicTexts.Read(config.Data, prompts);
        foreach (var note in prompts.Notes) context.Log.Information(note);
        checkpoint.RequireKnown(topics.SelectMany(topic => topic.Forget.Concat(topic.Retain)).SelectMany(text => text));
        var compute = ComputeOptions.Choose(context.Device, context.DType, checkpoint.Stored, context.MemoryLimit);
        context.Log.Information(compute.Reason);
        File.WriteAllText(directory.PathOf("config.json"), ConfigFile.Write(config with { FirstLayer = first, LastLayer = last }));
        directory.WriteJson(
            "environment.json",
            EnvironmentRecord.Capture(compute, (long)config.Seed, context.Clock, get_num_threads())
        );

        using var opened = OpenedModel.Open(checkpoint, compute, context.MemoryLimit, context.Log, last);
        using var freed = FreedMemory.ReturnAbove(opened.ReturnAbove);
        var settings = new LayerSettings
        {
            Samples = config.Samples,
            Eta = config.Eta,
            BootstrapRounds = config.BootstrapRounds,
        };
        var analysis = LayerAnalysis.Measure(
            opened.Model,
            topics,
            settings,
            (first, last),
            (first, last),
            config.Seed,
            tokenizer.PadId ?? 0,
            context.Log,
            context.Cancellation
        );
        directory.WriteJson("layers.json", analysis);

        List<FileHash> files =
        [
            .. ModelSource.Of(modelDirectory)?.Files ?? ContentHash.OfModel(modelDirectory, context.Cancellation).Files,
        ];
        files.AddRange(
            config
                .Data.Forget.Concat(config.Data.Retain)
                .Distinct()
                .Select(path => new FileHash(path, FileSize.Of(path), ContentHash.OfFile(path, context.Cancellation)))
        );
        directory.WriteJson(
            "run.json",
            new RunRecord(
                "analyze",
                $"Choosing a layer for {string.Join(", ", config.Data.Forget.Select(Path.GetFileNameWithoutExtension))}",
                [],
                [],
                files,
                clock.Elapsed.TotalSeconds,
                Layer: analysis.SelectedLayer
            )
            {
                Form = prompts.Form,
            }
        );
        return analysis;
    }
}
