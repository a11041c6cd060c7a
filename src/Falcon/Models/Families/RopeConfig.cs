using System.Globalization;

namespace Falcon.Models.Families;

/// <summary>
/// Settings of the rotary position embedding (RoPE) and its scaling, as the Hugging Face library defines them. A dimension pair j of D
/// rotated dimensions turns by Theta^(-2j/D) radians a token before scaling.
/// </summary>
/// <param name="Theta">Base of the frequencies.</param>
/// <param name="Type"><c>default</c>, <c>linear</c>, <c>dynamic</c>, <c>llama3</c>, <c>yarn</c> or <c>longrope</c>.</param>
/// <param name="Factor">Divisor of the frequencies (linear, llama3, yarn) or growth factor of the context (dynamic).</param>
/// <param name="LowFrequencyFactor">llama3: wavelengths above OriginalMaxPositions / this are fully scaled.</param>
/// <param name="HighFrequencyFactor">llama3: wavelengths below OriginalMaxPositions / this are not scaled.</param>
/// <param name="OriginalMaxPositions">Context length before scaling (llama3, dynamic, yarn, longrope).</param>
public sealed record RopeConfig(
    double Theta,
    string Type = "default",
    double Factor = 1,
    double LowFrequencyFactor = 1,
    double HighFrequencyFactor = 4,
    int OriginalMaxPositions = 0
)
{
    /// <summary>The share of the head's dimensions that is rotated, counted from the first; from 0 to 1.</summary>
    public double RotaryShare { get; init; } = 1;

    /// <summary>Factor of cos and sin (yarn, longrope).</summary>
    public double AttentionFactor { get; init; } = 1;

    /// <summary>yarn: dimensions that turn more often than this in the original context are not scaled.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>yarn: dimensions that turn less often than this are fully scaled.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>yarn: whether the bounds of the ramp between the two are rounded to whole dimensions.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>longrope: divisors of the frequencies for texts within the original context.</summary>
    public IReadOnlyList<double> ShortFactors { get; init; } = [];

    /// <summary>longrope: divisors of the frequencies for longer texts.</summary>
    public IReadOnlyList<double> LongFactors { get; init; } = [];

    /// <summary>Whether the frequencies depend on the text length.</summary>
    public bool DependsOnLength => Type is "dynamic" or "longrope";

    /// <summary>A number that is equal for two text lengths if and only if they have the same frequencies.</summary>
    internal long Regime(long length) => length <= OriginalMaxPositions ? 0 : Type switch { "dynamic" => length, "longrope" => 1, _ => 0 };

    /// <summary>The number of rotated dimensions of a head.</summary>
    internal int RotarySize(int headSize) => (int)(headSize * RotaryShare);

    /// <summary>Whether both give the same frequencies and factors.</summary>
    internal bool IsSameAs(RopeConfig other) =>
        ShortFactors.SequenceEqual(other.ShortFactors)
        && LongFactors.SequenceEqual(other.LongFactors)
        && this with { ShortFactors = other.ShortFactors, LongFactors = other.LongFactors } == other;

    /// <summary>Reads one object of settings.</summary>
    internal static RopeConfig ReadScaling(
        ConfigReader scaling,
        int maxPositions,
        double theta,
        double share = 1,
        bool mayBePartial = false,
        int? original = null
    )
    {
        var (newName, oldName) = (scaling.StringOrNull("rope_type"), scaling.StringOrNull("type"));
        if (newName is not null && oldName is not null && newName != oldName && (newName, oldName) is not ("longrope", "su" or "yarn"))
            throw scaling.Unsupported("rope_type", newName, $"\"type\" is {oldName}; remove the wrong one");
        var type = newName ?? oldName ?? "default";
        _ = scaling.Double("rope_theta", theta); // read by the caller
        share = scaling.Double("partial_rotary_factor", share);
        if (share != 1 && !mayBePartial)
            throw scaling.Unsupported("partial_rotary_factor", "not 1", "partial rotation is not supported for this family");
        // Early Phi-3 files use other names for longrope.
        if (type == "su" || (type == "yarn" && scaling.Has("short_factor"))) type = "longrope";
        var rope = type switch
        {
            "default" => new RopeConfig(theta),
            "linear" => new RopeConfig(theta, type, scaling.Double("factor")),
            "dynamic" => Dynamic(scaling, theta, maxPositions),
            "llama3" => new RopeConfig(
                theta,
                type,
                scaling.Double("factor"),
                scaling.Double("low_freq_factor"),
                scaling.Double("high_freq_factor"),
                scaling.PositiveInt("original_max_position_embeddings", maxPositions)
            ),
            "yarn" => Yarn(scaling, theta, maxPositions),
            "longrope" => LongRope(scaling, theta, maxPositions, original),
            _ => throw scaling.Unsupported("rope_type", type, "supported are default, linear, dynamic, llama3, yarn and longrope"),
        };
        if (rope.Factor <= 0)
            throw scaling.Unsupported("factor", rope.Factor.ToString(CultureInfo.InvariantCulture), "it must be positive");
        if (type == "llama3" && rope.HighFrequencyFactor <= rope.LowFrequencyFactor)
            throw scaling.Unsupported("high_freq_factor", $"{rope.HighFrequencyFactor}", "it must be above low_freq_factor");
        scaling.RefuseUnknownKeys();
        return rope with { RotaryShare = share };
    }

    private static RopeConfig Dynamic(ConfigReader scaling, double theta, int maxPositions)
    {
        scaling.RequireNeutral("original_max_position_embeddings", maxPositions);
        return new RopeConfig(theta, "dynamic", scaling.Double("factor"), OriginalMaxPositions: maxPositions);
    }

    private static RopeConfig Yarn(ConfigReader scaling, double theta, int maxPositions)
    {
        var factor = scaling.Double("factor");
        double Scale(double weight) => factor <= 1 ? 1 : 0.1 * weight * Math.Log(factor) + 1;
        var (weight, weightOfAll) = (scaling.DoubleOrNull("mscale"), scaling.DoubleOrNull("mscale_all_dim"));
        var original = scaling.PositiveInt("original_max_position_embeddings", maxPositions);
        return new RopeConfig(theta, "yarn", factor, OriginalMaxPositions: original)
        {
            AttentionFactor = scaling.DoubleOrNull("attention_factor")
                ?? (weight is > 0 && weightOfAll is > 0 ? Scale(weight.Value) / Scale(weightOfAll.Value) : Scale(1)),
            BetaFast = scaling.Double("beta_fast", 32),
            BetaSlow = scaling.Double("beta_slow", 1),
            Truncate = scaling.Bool("truncate", true),
        };
    }

    private static RopeConfig LongRope(ConfigReader scaling, double theta, int maxPositions, int? original)
    {
        original = scaling.PositiveIntOrNull("original_max_position_embeddings") ?? original;
        var given = scaling.DoubleOrNull("factor");
        var growth = original is { } before ? (double)maxPositions / before : given ?? 1;
        var positions = original ?? maxPositions;
        return new RopeConfig(theta, "longrope", OriginalMaxPositions: positions)
        {
            AttentionFactor = scaling.DoubleOrNull("attention_factor")
                ?? (growth <= 1 ? 1 : Math.Sqrt(1 + Math.Log(growth) / Math.Log(positions))),
            ShortFactors = scaling.Doubles("short_factor"),
            LongFactors = scaling.Doubles("long_factor"),
        };
    }

    /// <summary>The frequency of each pair of rotated dimensions, in radians a position.</summary>
    /// <param name="headSize">Width of a head.</param>
    /// <param name="length">Text length in tokens; only <c>dynamic</c> and <c>longrope</c> depend on it.</param>
    public double[] InverseFrequencies(int headSize, long length = 0)
    {
        var size = RotarySize(headSize);
        var theta = Type == "dynamic" && length > OriginalMaxPositions
            ? Theta * Math.Pow(Factor * length / OriginalMaxPositions - (Factor - 1), size / (size - 2.0))
            : Theta;
        var frequencies = new double[size / 2];
        for (var j = 0; j < frequencies.Length; j++)
        {
            // In float32, as published implementations compute them: the rounding matters at far positions.
            var plain = (double)(float)(1.0 / (float)Math.Pow(theta, 2.0 * j / size));
            frequencies[j] = Type switch
            {
                "linear" => plain / Factor,
                "llama3" => Llama3(plain),
                "yarn" => Yarn(plain, j, size),
                "longrope" => plain / (length > OriginalMaxPositions ? LongFactors : ShortFactors)[j],
                _ => plain,
            };
        }

        return frequencies;
    }

    private double Llama3(double frequency)
    {
        var wavelength = 2 * Math.PI / frequency;
        if (wavelength < OriginalMaxPositions / HighFrequencyFactor) return frequency;
        if (wavelength > OriginalMaxPositions / LowFrequencyFactor) return frequency / Factor;
        var smooth = (OriginalMaxPositions / wavelength - LowFrequencyFactor) / (HighFrequencyFactor - LowFrequencyFactor);
        return (1 - smooth) * frequency / Factor + smooth * frequency;
    }

    private double Yarn(double frequency, int pair, int size)
    {
        double Dimension(double turns) => size * Math.Log(OriginalMaxPositions / (turns * 2 * Math.PI)) / (2 * Math.Log(Theta));
        var (low, high) = (Dimension(BetaFast), Dimension(BetaSlow));
        if (Truncate) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, size - 1));
        if (low == high) high += 0.001;
        var ramp = Math.Clamp((pair - low) / (high - low), 0, 1);
        return frequency / Factor * ramp + frequency * (1 - ramp);
    }
}
