using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>Settings of the rotary position embedding (RoPE), with its scaling.</summary>
/// <param name="Theta">Base of the frequencies.</param>
/// <param name="Type"><c>default</c>, <c>linear</c> or <c>llama3</c>.</param>
/// <param name="Factor">Divisor of the frequencies (linear, llama3).</param>
/// <param name="LowFrequencyFactor">llama3: wavelengths above OriginalMaxPositions / this are fully scaled.</param>
/// <param name="HighFrequencyFactor">llama3: wavelengths below OriginalMaxPositions / this are not scaled.</param>
/// <param name="OriginalMaxPositions">llama3: context length before scaling.</param>
public sealed record RopeConfig(double Theta, string Type = "default", double Factor = 1, double LowFrequencyFactor = 1, double HighFrequencyFactor = 4, int OriginalMaxPositions = 0)
{
    // The keys stand at the top level with rope_scaling beside them (transformers v4) or in one object rope_parameters (v5).
    internal static RopeConfig Read(ConfigReader reader, int maxPositions)
    {
        var nested = reader.Object("rope_parameters");
        var theta = nested?.Double("rope_theta", reader.Double("rope_theta", 10000)) ?? reader.Double("rope_theta", 10000);
        var scaling = nested ?? reader.Object("rope_scaling");
        if (scaling is null) return new RopeConfig(theta);
        var type = scaling.StringOrNull("rope_type") ?? scaling.StringOrNull("type") ?? "default";
        _ = scaling.StringOrNull("type");
        if (scaling.Double("partial_rotary_factor", 1) != 1) throw scaling.Unsupported("partial_rotary_factor", "not 1", "rotation of a part of the head is not supported for this family");
        var rope = type switch
        {
            "default" => new RopeConfig(theta),
            "linear" => new RopeConfig(theta, type, scaling.Double("factor")),
            "llama3" => new RopeConfig(theta, type, scaling.Double("factor"), scaling.Double("low_freq_factor"), scaling.Double("high_freq_factor"), scaling.PositiveInt("original_max_position_embeddings", maxPositions)),
            _ => throw scaling.Unsupported("rope_type", type, "supported RoPE scalings are default, linear and llama3"),
        };
        if (rope.Factor <= 0) throw scaling.Unsupported("factor", $"{rope.Factor}", "it must be positive");
        if (type == "llama3" && rope.HighFrequencyFactor <= rope.LowFrequencyFactor) throw scaling.Unsupported("high_freq_factor", $"{rope.HighFrequencyFactor}", "it must be above low_freq_factor");
        scaling.RefuseUnknownKeys();
        return rope;
    }

    /// <summary>Inverse frequencies, one for each pair of head dimensions; radians a position.</summary>
    public double[] InverseFrequencies(int headSize)
    {
        var frequencies = new double[headSize / 2];
        for (var j = 0; j < frequencies.Length; j++)
        {
            // float32, as published implementations compute them: the last digits matter at far positions.
            var plain = (double)(float)(1.0 / (float)Math.Pow(Theta, 2.0 * j / headSize));
            frequencies[j] = Type switch { "linear" => plain / Factor, "llama3" => Llama3(plain), _ => plain };
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
}

/// <summary>Applies rotary position embedding in the "rotate half" form: x*cos + (-second half, first half)*sin.</summary>
internal static class RotaryEmbedding
{
    /// <summary>cos and sin of position times frequency, written twice, one half after the other. Positions [T] or [B, T] give [T, D] or [B, 1, T, D].</summary>
    public static (Tensor Cos, Tensor Sin) Tables(RopeConfig rope, int headSize, Tensor positions, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var frequencies = tensor(rope.InverseFrequencies(headSize), float32, positions.device); // [D/2]
        var angles = positions.to(float32).unsqueeze(-1) * frequencies; // [.., T, D/2]
        angles = cat([angles, angles], -1); // [.., T, D]
        if (positions.dim() == 2) angles = angles.unsqueeze(1); // [B, 1, T, D]
        return (angles.cos().to(dtype).MoveToOuterDisposeScope(), angles.sin().to(dtype).MoveToOuterDisposeScope());
    }

    /// <summary>Rotates queries or keys [B, A, T, D].</summary>
    public static Tensor Rotate(Tensor x, Tensor cos, Tensor sin)
    {
        using var scope = NewDisposeScope();
        var half = x.shape[^1] / 2;
        var rotated = cat([-x.narrow(-1, half, half), x.narrow(-1, 0, half)], -1);
        return (x * cos + rotated * sin).MoveToOuterDisposeScope();
    }
}
