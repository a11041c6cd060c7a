using System.Text.Json.Nodes;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// The scaling of Llama 3's rotary frequencies, found again from the divisors that llama.cpp stores for them: 1 for high frequencies, the
/// factor for low ones, and a smooth passage between. Source of the formula: Llama 3.1's published configuration and code.
/// </summary>
internal static class Llama3Scaling
{
    private const double LowFrequencies = 1,
        HighFrequencies = 4,
        Tolerance = 1e-5;

    /// <summary>The <c>rope_scaling</c> whose divisors are these; null where there is none with the usual frequency factors.</summary>
    /// <param name="divisors">One for each pair of a head's values.</param>
    /// <param name="theta">Base of the frequencies.</param>
    public static JsonObject? Of(IReadOnlyList<float> divisors, double theta)
    {
        var factor = (double)divisors.Max();
        for (var positions = 16; positions <= 1 << 22; positions *= 2)
            if (
                divisors.Select((divisor, i) => Math.Abs(Divisor(i, divisors.Count, theta, factor, positions) / divisor - 1)).Max()
                < Tolerance
            )
                return new JsonObject
                {
                    ["rope_type"] = "llama3",
                    ["factor"] = factor,
                    ["low_freq_factor"] = LowFrequencies,
                    ["high_freq_factor"] = HighFrequencies,
                    ["original_max_position_embeddings"] = positions,
                };
        return null;
    }

    private static double Divisor(int pair, int pairs, double theta, double factor, int positions)
    {
        var waves = positions * Math.Pow(theta, -(double)pair / pairs) / (2 * Math.PI); // of this frequency in the original length
        if (waves > HighFrequencies)
            return 1;
        if (waves < LowFrequencies)
            return factor;
        var smooth = (waves - LowFrequencies) / (HighFrequencies - LowFrequencies);
        return 1 / ((1 - smooth) / factor + smooth);
    }
}
