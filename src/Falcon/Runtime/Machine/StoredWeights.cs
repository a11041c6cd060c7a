namespace Falcon.Runtime.Machine;

/// <summary>How many weights a checkpoint stores in each number type; what <c>--dtype auto</c> goes by.</summary>
/// <param name="InFloat32">Weights stored in float32, or in a type of no other column.</param>
/// <param name="InBFloat16">Weights stored in bfloat16.</param>
/// <param name="InFloat16">Weights stored in float16.</param>
public readonly record struct StoredWeights(long InFloat32, long InBFloat16, long InFloat16)
{
    // Norms and routers of a bfloat16 checkpoint are sometimes stored in float32; they are few.
    private const double NearlyAll = 0.9;

    /// <summary>All weights.</summary>
    public long Count => InFloat32 + InBFloat16 + InFloat16;

    /// <summary>Whether nearly all weights are bfloat16, so that computing in it rounds next to nothing.</summary>
    public bool AreBFloat16 => InBFloat16 > 0 && InBFloat16 >= NearlyAll * Count;

    /// <summary>Whether nearly all weights have two bytes, in either type.</summary>
    public bool AreHalf => InBFloat16 + InFloat16 > 0 && InBFloat16 + InFloat16 >= NearlyAll * Count;

    /// <summary>The weights of two checkpoints that are used together.</summary>
    public static StoredWeights operator +(StoredWeights one, StoredWeights other) => one.Add(other);

    /// <summary>The weights of two checkpoints that are used together.</summary>
    /// <param name="other">The other checkpoint's.</param>
    public StoredWeights Add(StoredWeights other) =>
        new(InFloat32 + other.InFloat32, InBFloat16 + other.InBFloat16, InFloat16 + other.InFloat16);
}
