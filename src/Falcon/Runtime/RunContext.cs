namespace Falcon.Runtime;

/// <summary>
/// What a run gets from outside: log, device, dtype, clock and cancellation. It is passed explicitly; there is no global state.
/// </summary>
/// <param name="Log">Receives messages and progress.</param>
/// <param name="Device"><c>auto</c>, <c>cpu</c> or <c>cuda</c>.</param>
/// <param name="DType"><c>auto</c>, <c>float32</c>, <c>bfloat16</c> or <c>float16</c>.</param>
/// <param name="Clock">Source of the time.</param>
/// <param name="Cancellation">Set by Ctrl-C.</param>
public sealed record RunContext(IRunLog Log, string Device, string DType, TimeProvider Clock, CancellationToken Cancellation)
{
    /// <summary>Most bytes of resident memory for verbs that only run a model; null for most of the memory that is available.</summary>
    public long? MemoryLimit { get; init; }

    /// <summary>The day on which the run begins, in local time.</summary>
    public DateOnly Today => DateOnly.FromDateTime(Clock.GetLocalNow().DateTime);

    /// <summary>A silent context that computes in float32 on the CPU; for tests and small programs.</summary>
#pragma warning disable RS0030   // where the clock enters for callers who name none
    public static RunContext Quiet => new(SilentRunLog.Instance, "cpu", "float32", TimeProvider.System, CancellationToken.None);
#pragma warning restore RS0030
}
