using System.Diagnostics;
using System.Globalization;
using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Optimization;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Runtime.Machine;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Runs.Training;

/// <summary>
/// The recipe of a training run, from files to files: read, tokenise, initialise or load, train all weights in float32, save.
/// </summary>
public static class TrainRun
{
    /// <summary>
    /// Trains a new model or fine-tunes an existing one, and writes a Hugging Face directory with <c>train.json</c> and, if requested,
    /// <c>scores.json</c>.
    /// </summary>
    /// <param name="config">The whole configuration.</param>
    /// <param name="outDirectory">The model directory to write; it appears whole or not at all.</param>
    /// <param name="context">Log, device, clock and cancellation; the dtype is always float32.</param>
    /// <exception cref="UserInputException">Settings or files are wrong.</exception>
    /// <exception cref="NumericalFailureException">The run diverged; nothing is written.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; nothing is written.</exception>
    public static TrainRecord Execute(TrainConfig config, string outDirectory, RunContext context)
    {
        var clock = Stopwatch.StartNew();
        config.Validate();
        using var directory = RunDirectory.Create(outDirectory);
        var compute = ComputeOptions.Choose(context.Device, "float32", default);
        var environment = EnvironmentRecord.Capture(compute, (long)config.Seed, context.Clock, get_num_threads());
        var records = TrainingText.Read(config.Data);
        var measured = config.ScoresFor is { } runFile ? ConfigFile.Read<UnlearnConfig>(runFile, []) : null;

        using var source = config.StartFrom is { } path ? Checkpoint.Open(path) : null;
        if (source is null)
            NewModelFiles.WriteTokenizer(
                config.Tokenizer,
                records.Select(config.Data.Template.Validate().Whole),
                config.Model.MaxPositions,
                directory.WorkingPath
            );
        var tokenizer = HfTokenizer.Load(source?.Directory ?? directory.WorkingPath);
        source?.TellNotes(context.Log, tokenizer);
        var architecture = source?.Config ?? NewModelFiles.WriteConfig(config.Model, tokenizer, directory.WorkingPath);
        var prompts = new PromptEncoder(tokenizer, config.Data.PromptForm.OnDay(context.Today))
        {
            MaxTokens = architecture.MaxPositions,
        };
        config = config with { Data = config.Data with { PromptForm = prompts.Form } };
        context.Log.Information($"prompt form: {prompts.Form.Describe()}");
        var texts = records
            .Select(record => TrainingText.Of(record, prompts, architecture.MaxPositions))
            .Where(text => text.Ids.Length > 1)
            .ToList();
        foreach (var note in prompts.Notes) context.Log.Information(note);

        using var weights = source?.LoadWeights(float32, compute.Device)
            ?? NewModelFiles.Initialise(architecture, config.Seed, compute.Device);
        context.Log.Information(
            string.Create(
                CultureInfo.InvariantCulture,
                $"training {weights.Tensors.Values.Sum(weight => weight.numel()):N0} weights "
                    + $"on {texts.Count:N0} texts of {texts.Sum(text => text.Ids.Length):N0} tokens; {compute.Reason}"
            )
        );
        var longest = config.Data.BatchSize * texts.Select(text => (long)text.Ids.Length).DefaultIfEmpty().Max();
        var predicted = PredictedBytes(architecture, compute, weights, longest);
        context.Log.Information($"predicted peak memory {PeakMemory.Text(predicted)}");
        using var freed = FreedMemory.ReturnAbove(MemoryPlan.ReturnAboveFor(predicted));
        var (steps, loss) = Train(config, new CausalLM(architecture, weights), weights, texts, tokenizer.PadId ?? 0, context);

        Save(config, source, weights, directory);
        if (source is not null) ExplicitTokenIds.Complete(directory.WorkingPath, tokenizer, context.Log);
        if (measured is not null) Measure(measured, tokenizer, directory, compute, context);
        var record = new TrainRecord(
            config.StartFrom is { } made ? config with { StartFrom = ModelSource.Of(made)?.Model ?? made } : config,
            environment,
            steps,
            loss,
            clock.Elapsed.TotalSeconds,
            ContentHash.OfModel(directory.WorkingPath, context.Cancellation),
            [
                .. config
                    .Data.Questions.Concat(config.Data.Texts)
                    .Select(file => new FileHash(file, FileSize.Of(file), ContentHash.OfFile(file, context.Cancellation))),
            ]
        );
        directory.WriteJson("train.json", record);
        context.Log.Information($"peak memory {PeakMemory.Text(PeakMemory.Bytes())} (predicted {PeakMemory.Text(predicted)})");
        directory.Commit();
        return record;
    }

    // Weights, gradients and two moments, and a step over the longest batch.
    private static long PredictedBytes(ModelConfig model, ComputeOptions compute, Weights weights, long tokens)
    {
        var demand = new MemoryDemand(model, compute, model.LayerCount - 1, [.. weights.Tensors.Keys], PassNeeds.Likelihoods, new());
        return MemoryPlan.Program + 4 * sizeof(float) * weights.Tensors.Values.Sum(weight => weight.numel()) + demand.StepBytes(tokens);
    }

    private static (int Steps, double Loss) Train(
        TrainConfig config,
        CausalLM model,
        Weights weights,
        List<TrainingText> texts,
        int padId,
        RunContext context
    )
    {
        Tensor[] masters = [.. weights.Tensors.Values];
        foreach (var master in masters) master.requires_grad = true;
        var settings = config.Optimizer;
        using var optimizer = new AdamW(masters, settings.LearningRate, settings.Beta1, settings.Beta2, weightDecay: settings.WeightDecay);
        int[] lengths = [.. texts.Select(text => text.Ids.Length)];
        var stepsPerEpoch = (texts.Count + config.Data.BatchSize - 1) / config.Data.BatchSize;
        var steps = config.Steps ?? config.Epochs * stepsPerEpoch;
        var rates = new LearningRateSchedule(settings.LearningRate, steps, settings.Decay, settings.WarmupSteps);
        Queue<double> losses = new();
        IReadOnlyList<int[]> batches = [];
        var clock = Stopwatch.StartNew();
        var tokens = 0L;
        for (var step = 0; step < steps; step++)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            if (step % stepsPerEpoch == 0)
                batches = LengthBuckets.Batches(lengths, config.Data.BatchSize, config.Seed, step / stepsPerEpoch);
            TrainingText[] batch = [.. batches[step % stepsPerEpoch].Select(position => texts[position])];
            optimizer.LearningRate = rates.At(step);
            losses.Enqueue(Step(step, model, masters, optimizer, batch, config, padId));
            if (losses.Count > stepsPerEpoch) losses.Dequeue();
            tokens += batch.Sum(text => text.Ids.Length);
            context.Log.Progress(
                "training",
                step + 1,
                steps,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"epoch {step / stepsPerEpoch + 1}  loss {losses.TakeLast(20).Average():F4}  "
                        + $"{tokens / clock.Elapsed.TotalSeconds:F0} tokens/s"
                )
            );
        }

        return (steps, losses.Average());
    }

    // The dispose scope owns every tensor of the step; only the value of the loss leaves it.
    private static double Step(
        int step,
        CausalLM model,
        Tensor[] masters,
        AdamW optimizer,
        TrainingText[] batch,
        TrainConfig config,
        int padId
    )
    {
        using var scope = NewDisposeScope();
        var loss = NextTokenLoss.Of(model, batch, config.Data.QuestionWeight, padId);
        Tensor[] gradients = [.. autograd.grad([loss], masters)];
        var value = loss.item<float>();
        var norm = Math.Sqrt(gradients.Sum(gradient => (double)gradient.square().sum().item<float>()));
        if (!double.IsFinite(value) || !double.IsFinite(norm))
            throw new NumericalFailureException(
                FormattableString.Invariant($"Step {step}: loss {value} or gradient norm {norm} is not finite. ")
                    + FormattableString.Invariant($"Lower optimizer.learningRate ({config.Optimizer.LearningRate}).")
            );
        if (norm > config.GradientClip)
            foreach (var gradient in gradients) gradient.mul_(config.GradientClip / norm);
        optimizer.Step(gradients);
        return value;
    }

    // Measures the stored model, after rounding.
    private static void Measure(
        UnlearnConfig run,
        HfTokenizer tokenizer,
        RunDirectory directory,
        ComputeOptions compute,
        RunContext context
    )
    {
        var (weights, model) = Checkpoint.LoadModel(directory.WorkingPath, float32, compute.Device);
        using (weights)
            directory.WriteJson(
                "scores.json",
                ProbeScores.Measure(
                    model,
                    new PromptEncoder(tokenizer, run.Data.PromptForm.OnDay(context.Today)),
                    run.Evaluation,
                    run.Data.Fields,
                    context.Log,
                    context.Cancellation
                )
            );
    }

    private static void Save(TrainConfig config, Checkpoint? source, Weights weights, RunDirectory directory)
    {
        if (source is null)
        {
            NewModelFiles.WriteWeights(weights.Tensors, config.Model.Dtype, directory.WorkingPath);
            return;
        }

        const string staging = "model"; // the writer creates its own directory
        CheckpointWriter.Write(
            source,
            directory.PathOf(staging),
            weights.Tensors.ToDictionary(item => item.Key, item => BlockTensor.Borrow(item.Value))
        );
        foreach (var entry in new DirectoryInfo(directory.PathOf(staging)).EnumerateFileSystemInfos().ToList())
            Directory.Move(entry.FullName, directory.PathOf(entry.Name));
        Directory.Delete(directory.PathOf(staging));
    }
}
