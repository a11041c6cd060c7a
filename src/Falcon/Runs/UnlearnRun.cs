using System.Diagnostics;
using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Runs;

/// <summary>An unlearning run from files to files: the recipe of <see cref="UnlearningSession"/>, measured before and after.</summary>
public static class UnlearnRun
{
    /// <summary>
    /// Unlearns and writes the run directory: config.json, environment.json, layers.json, metrics.jsonl, run.json and model/.
    /// </summary>
    /// <param name="config">The whole configuration.</param>
    /// <param name="outDirectory">The directory to write; it appears whole or not at all.</param>
    /// <param name="resume">Continue the interrupted run of the same directory.</param>
    /// <param name="context">Log, device, clock, cancellation.</param>
    /// <param name="original">
    /// Makes a directory, <c>original/</c> in the run, where the configuration names a GGUF file or an adapter (NamedModel.Write); null for
    /// callers that name directories only.
    /// </param>
    /// <exception cref="UserInputException">Settings or files are wrong.</exception>
    /// <exception cref="NumericalFailureException">The run diverged; nothing is written.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; the state is kept for <paramref name="resume"/>.</exception>
    public static RunRecord Execute(
        UnlearnConfig config,
        string outDirectory,
        bool resume,
        RunContext context,
        OriginalWriter? original = null
    )
    {
        var clock = Stopwatch.StartNew();
        config.Validate();
        using var directory = RunDirectory.Create(outDirectory, resume);
        using var place = RunPlace.Of(directory);
        config = OnItsDay(config, directory);
        var evaluates = config.Evaluation.Samples > 0;
        var start = RunOriginal.Of(config, directory, original, context);
        var run = RunOriginal.WithOthers(config with { Model = start.Directory, Adapter = null }, directory, original, context);
        using var session = UnlearningSession.Open(run, place, context, evaluates);
        (run, config) = (session.Config, config with { Data = session.Config.Data }); // with the form that the model is asked in
        WriteSettings(directory, session, config);
        session.ReadTexts();
        var evaluation = BeforeAfter.Complete(run);
        context.Log.Information(session.Compute.Reason);
        context.Log.Information($"prompt form: {session.Prompts.Form.Describe()}");
        var control = BeforeAfter.Control(evaluation, run, session.Compute, context);
        session.PlanMemory();
        session.OpenModels();
        ProbeScores Measure(CausalLM model) =>
            ProbeScores.Measure(
                model,
                session.Prompts,
                evaluation,
                config.Data.Fields,
                context.Log,
                context.Cancellation
            );
        var before = Measure(session.Frozen);
        session.ChooseLayer();
        var (monitored, after) = TrainAndSave(session, directory, Measure);

        // From here on the run ignores cancellation: finishing takes less time than repeating the work.
        var record = new RunRecord(
            "unlearn",
            evaluation.Title ?? $"Unlearning {string.Join(", ", config.Data.Forget.Select(Path.GetFileNameWithoutExtension))}",
            BeforeAfter.Rows(evaluation, before, after, control),
            BeforeAfter.Questions(evaluation, before, after, control),
            Hashes(run, start, directory),
            clock.Elapsed.TotalSeconds,
            $"{config.Method} (preset {config.Preset})",
            session.Target
        )
        {
            Monitor = monitored,
            Form = session.Prompts.Form,
            PeakBytes = PeakMemory.Bytes(),
            PredictedPeakBytes = session.Plan.Predicted,
            Compute = session.Compute.Reason,
        };
        context.Log.Information(
            $"peak memory {PeakMemory.Text(record.PeakBytes.Value)} (predicted {PeakMemory.Text(session.Plan.Predicted)})"
        );
        ModelCard.Write(directory.PathOf("model"), config, record, session.TrainedNames, start.Directory);
        directory.WriteJson("run.json", record);
        TrainingState.Remove(directory);
        RunOriginal.RemoveOthers(directory);
        directory.Commit();
        return record;
    }

    // A resumed run goes on with the date on which it began.
    private static UnlearnConfig OnItsDay(UnlearnConfig config, RunDirectory directory) =>
        directory.IsResumed && config.Data.Date is null && RunForm.DateIn(directory.PathOf("config.json")) is { } day
            ? config with { Data = config.Data with { Date = day } }
            : config;

    // What is measured is what is saved.
    private static (MonitorRecord? Monitored, ProbeScores After) TrainAndSave(
        UnlearningSession session,
        RunDirectory directory,
        Func<CausalLM, ProbeScores> measure
    )
    {
        using var training = session.Prepare();
        var monitored = training.Run();
        training.Finish();
        var after = training.Measure(measure);
        training.Save(directory.PathOf("model"));
        ExplicitTokenIds.Complete(directory.PathOf("model"), session.Tokenizer, session.Context.Log);
        return (monitored, after);
    }

    private static List<FileHash> Hashes(UnlearnConfig config, RunOriginal start, RunDirectory directory)
    {
        IEnumerable<FileHash> Of(string model, string prefix) =>
            ContentHash.OfModel(model).Files.Select(file => file with { Name = $"{prefix}/{file.Name}" });
        List<FileHash> files = [.. start.Hashes(), .. Of(start.Directory, "before"), .. Of(directory.PathOf("model"), "model")];
        if (TeacherModel.PathIn(config.Objective) is { } teacher) files.AddRange(Of(teacher, "teacher"));
        var texts = config.Data.Forget.Concat(config.Data.Retain).Distinct();
        files.AddRange(texts.Select(path => new FileHash(path, FileSize.Of(path), ContentHash.OfFile(path))));
        return files;
    }

    // Chosen automatically, the dtype may be another one on another machine, and half a run in each would be neither.
    private static void RequireSameDType(RunDirectory directory, string dtype)
    {
        var path = directory.PathOf("environment.json");
        if (!directory.IsResumed || !File.Exists(path)) return;
        var earlier = JsonSerializer.Deserialize<EnvironmentRecord>(File.ReadAllText(path), ResultJson.Options)!.DType;
        if (earlier != dtype)
            throw new UserInputException(
                $"{path}: the interrupted run computed in {earlier}, and {dtype} is chosen here. Resume it with --dtype "
                    + $"{earlier.ToLowerInvariant()}."
            );
    }

    private static void WriteSettings(RunDirectory directory, UnlearningSession session, UnlearnConfig config)
    {
        var compute = session.Compute;
        var text = ConfigFile.Write(config);
        var path = directory.PathOf("config.json");
        if (directory.IsResumed && File.Exists(path) && File.ReadAllText(path) != text)
            throw new UserInputException(
                $"{path}: the interrupted run had other settings. Resume it with the same command, or remove {directory.WorkingPath} to "
                    + "start anew."
            );
        File.WriteAllText(path, text);
        var environment = EnvironmentRecord.Capture(compute, (long)config.Seed, session.Context.Clock, get_num_threads());
        RequireSameDType(directory, environment.DType);
        directory.WriteJson("environment.json", environment);
        directory.RequireFreeSpace(CheckpointWriter.ByteLength(session.Checkpoint), "the new model");
    }
}
