using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Runs.Training;

/// <summary>The result of a training run, written as <c>train.json</c> into the model's directory.</summary>
/// <param name="Config">Every setting of the run.</param>
/// <param name="Environment">The program and machine.</param>
/// <param name="Steps">Steps taken.</param>
/// <param name="Loss">Mean training loss of the last epoch, or of all steps if there are fewer, in nats a token.</param>
/// <param name="Seconds">Wall-clock time of the whole run.</param>
/// <param name="Model">The stored weights.</param>
/// <param name="Data">The training files with their SHA-256.</param>
public sealed record TrainRecord(
    TrainConfig Config,
    EnvironmentRecord Environment,
    int Steps,
    double Loss,
    double Seconds,
    ModelHash Model,
    IReadOnlyList<FileHash> Data
);
