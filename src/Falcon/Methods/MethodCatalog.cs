using Falcon.Configuration;

namespace Falcon.Methods;

/// <summary>Every unlearning method by its name in configuration and command line.</summary>
public static class MethodCatalog
{
    /// <summary>The objective of the method that the configuration names.</summary>
    /// <param name="inputs">What it is built from.</param>
    public static Objective Build(MethodInputs inputs) => Falcon(inputs);

    private static FalconMethod Falcon(MethodInputs inputs)
    {
        var offsets = OffsetVectors.Make(inputs.Frozen, inputs.Target, inputs.Topics, inputs.Config, inputs.PadId, (done, total) => inputs.Log.Progress("offset vectors", done, total), inputs.Cancellation);
        var loss = inputs.Config.Loss;
        var bound = loss.Bound == ForgetBoundKind.None ? null : new ForgetBound(inputs.Frozen, inputs.Target, loss.BoundWidth);
        return new FalconMethod(new FalconObjective(inputs.Passes(), inputs.Trained, loss, plainPasses: inputs.Config.Engine.Path == EnginePath.Plain, microBatchTokens: inputs.Config.Engine.MicroBatchTokens, bound: bound), offsets, loss, ForgetBound.Levels(inputs));
    }
}
