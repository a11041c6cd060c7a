using System.Globalization;
using System.Text.Json;
using Falcon.Checkpoints.Safetensors;
using Falcon.Engine;
using Falcon.Methods.Terms;
using Falcon.Optimization;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Runs;

/// <summary>
/// The state of an interrupted run: masters, optimiser state, numbers of the objective, the best parameters so far and the step. Random
/// numbers depend on seed and step alone, so nothing else is needed.
/// </summary>
internal static class TrainingState
{
    private const string FileName = "state.safetensors";
    private const string StepKey = "step";
    private const string BestKey = "best";
    private const string ObjectiveKey = "objective";
    private const string BestPrefix = "best.";

    /// <summary>
    /// Writes the state so that the working directory survives an interruption after <paramref name="step"/> finished steps.
    /// </summary>
    public static void Save(
        RunDirectory directory,
        int step,
        TrainedParameters trained,
        Optimizer optimizer,
        Objective objective,
        BestStep? best = null
    )
    {
        var tensors = trained
            .ByName.Select(item => Source($"master.{item.Key}", item.Value))
            .Concat(optimizer.State.Select(item => Source($"optimizer.{item.Key}", item.Value)))
            .ToList();
        Dictionary<string, string> metadata = new() { [StepKey] = step.ToString(CultureInfo.InvariantCulture) };
        if (objective.State is { Count: > 0 } numbers) metadata[ObjectiveKey] = JsonSerializer.Serialize(numbers, ResultJson.LineOptions);
        if (best?.Measurement is { } measurement)
        {
            metadata[BestKey] = JsonSerializer.Serialize(measurement, ResultJson.LineOptions);
            tensors.AddRange(
                trained.Names.Zip(best.Values, (name, value) =>
                    new SafetensorsSource(BestPrefix + name, TensorBytes.DTypeName(float32), value.shape, stream =>
                        TensorBytes.Write(value, stream)
                    )
                )
            );
        }

        SafetensorsWriter.Write(directory.PathOf(FileName), tensors, metadata);
        directory.KeepForResume();
    }

    /// <summary>Puts a saved state back and cuts metrics.jsonl to it; returns the next step.</summary>
    /// <exception cref="UserInputException">The state does not fit the run.</exception>
    public static int Load(
        RunDirectory directory,
        TrainedParameters trained,
        Optimizer optimizer,
        Objective objective,
        BestStep? best = null
    )
    {
        var path = directory.PathOf(FileName);
        if (!File.Exists(path))
            throw new UserInputException(
                $"{path}: the state of the interrupted run is missing. Remove {directory.WorkingPath} and start anew."
            );
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(path);
        var entries = file.Entries.ToDictionary(entry => entry.Name);
        foreach (var name in trained.Names)
        {
            using var inner = NewDisposeScope();
            if (!entries.TryGetValue($"master.{name}", out var entry))
                throw new UserInputException(
                    $"{path}: the state has no \"{name}\"; it is of a run with other matrices. Remove {directory.WorkingPath} and start "
                        + $"anew."
                );
            trained.Load(name, TensorBytes.ToTensor(file, entry));
        }

        var step = int.Parse(file.Metadata[StepKey], CultureInfo.InvariantCulture);
        const string prefix = "optimizer.";
        optimizer.Load(
            [.. entries.Keys.Where(name => name.StartsWith(prefix, StringComparison.Ordinal)).Select(name => name[prefix.Length..])],
            name => TensorBytes.ToTensor(file, entries[prefix + name]), step);
        if (file.Metadata.TryGetValue(ObjectiveKey, out var numbers))
            objective.Restore(JsonSerializer.Deserialize<Dictionary<string, double>>(numbers, ResultJson.LineOptions)!);
        if (best is not null && file.Metadata.TryGetValue(BestKey, out var measurement))
            best.Keep(
                JsonSerializer.Deserialize<Measurement>(measurement, ResultJson.LineOptions)!,
                [.. trained.Names.Select(name => TensorBytes.ToTensor(file, entries[BestPrefix + name]).DetachFromDisposeScope())]
            );
        var metrics = directory.PathOf("metrics.jsonl");
        if (File.Exists(metrics)) File.WriteAllLines(metrics, [.. File.ReadLines(metrics).Take(step)]);
        return step;
    }

    /// <summary>Removes the state of a finished run.</summary>
    public static void Remove(RunDirectory directory) => File.Delete(directory.PathOf(FileName));

    private static SafetensorsSource Source(string name, BlockTensor tensor) =>
        new(name, TensorBytes.DTypeName(float32), [.. tensor.Shape], tensor.CopyTo);
}
