using System.Text.Json.Nodes;

namespace Falcon.Tests.Models;

/// <summary>The formulas of <see cref="ReferenceDecoder"/> that need no weights, in double precision.</summary>
internal static class ReferenceMath
{
    public static double[] Plain(double theta, int size) =>
        [.. Enumerable.Range(0, size / 2).Select(j => Math.Pow(theta, -2.0 * j / size))];

    /// <summary>Frequencies of a rotation with its scaling, and the factor of cos and sin.</summary>
    public static (double[] Frequencies, double Factor) Frequencies(
        JsonObject? scaling,
        double theta,
        int size,
        int length,
        JsonObject config
    )
    {
        var plain = Plain(theta, size);
        if (scaling is null) return (plain, 1);
        double Value(string key, double missing = double.NaN) => scaling[key]?.GetValue<double>() ?? missing;
        double limit = config["max_position_embeddings"]!.GetValue<int>(), factor = Value("factor");
        switch (scaling["rope_type"]!.GetValue<string>())
        {
            case "linear":
                return ([.. plain.Select(f => f / factor)], 1);
            case "dynamic":
                return length <= limit
                    ? (plain, 1)
                    : (Plain(theta * Math.Pow(factor * length / limit - (factor - 1), size / (size - 2.0)), size), 1);
            case "llama3":
                double low = Value("low_freq_factor"), high = Value("high_freq_factor"), before = Value("original_max_position_embeddings");
                return ([.. plain.Select(f =>
                {
                    var wave = 2 * Math.PI / f;
                    if (wave < before / high) return f;
                    if (wave > before / low) return f / factor;
                    var s = (before / wave - low) / (high - low);
                    return (1 - s) * f / factor + s * f;
                })], 1);
            case "yarn":
                var original = Value("original_max_position_embeddings");
                double Dimension(double turns) => size * Math.Log(original / (2 * Math.PI * turns)) / (2 * Math.Log(theta));
                var first = Math.Max(0, Math.Floor(Dimension(Value("beta_fast", 32))));
                var last = Math.Min(size - 1, Math.Ceiling(Dimension(Value("beta_slow", 1))));
                if (first == last) last += 0.001;
                return ([.. plain.Select((f, j) =>
                {
                    var ramp = Math.Clamp((j - first) / (last - first), 0, 1);
                    return f / factor * ramp + f * (1 - ramp);
                })], 0.1 * Math.Log(factor) + 1);
            case "longrope":
                double short_ = config["original_max_position_embeddings"]!.GetValue<int>();
                var divisors = scaling[length > short_ ? "long_factor" : "short_factor"]!
                    .AsArray()
                    .Select(value => value!.GetValue<double>())
                    .ToArray();
                return ([.. plain.Zip(divisors, (f, d) => f / d)], Math.Sqrt(1 + Math.Log(limit / short_) / Math.Log(short_)));
            default:
                throw new NotSupportedException();
        }
    }

    public static void Rotate(double[][] rows, int size, double[] frequencies, double factor)
    {
        var half = frequencies.Length;
        for (var position = 0; position < rows.Length; position++)
            for (var head = 0; head < rows[position].Length; head += size)
                for (var j = 0; j < half; j++)
                {
                    var (cos, sin) = (Math.Cos(position * frequencies[j]) * factor, Math.Sin(position * frequencies[j]) * factor);
                    var (a, b) = (rows[position][head + j], rows[position][head + j + half]);
                    (rows[position][head + j], rows[position][head + j + half]) = (a * cos - b * sin, b * cos + a * sin);
                }
    }

    public static double[][] Attention(
        double[][] q,
        double[][] k,
        double[][] v,
        int heads,
        int pairs,
        int size,
        double divisor,
        int? window,
        double? cap
    )
    {
        var result = q.Select(_ => new double[heads * size]).ToArray();
        for (var i = 0; i < q.Length; i++)
            for (var head = 0; head < heads; head++)
            {
                int at = head * size, from = head / (heads / pairs) * size;
                var seen = Enumerable.Range(0, i + 1).Where(j => window is null || i - j < window).ToArray();
                var scores = seen.Select(j =>
                {
                    var score = Enumerable.Range(0, size).Sum(d => q[i][at + d] * k[j][from + d]) / divisor;
                    return cap is { } bound ? bound * Math.Tanh(score / bound) : score;
                }).ToArray();
                var most = scores.Max();
                var total = scores.Sum(score => Math.Exp(score - most));
                for (var n = 0; n < seen.Length; n++)
                    for (var d = 0; d < size; d++) result[i][at + d] += Math.Exp(scores[n] - most) / total * v[seen[n]][from + d];
            }

        return result;
    }

    public static double GeluTanh(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

    // The error function by its series, which converges everywhere and loses nothing that matters for |x| up to 6; beyond, it is 1 to all
    // digits.
    public static double Gelu(double x)
    {
        var z = Math.Abs(x) / Math.Sqrt(2);
        if (z > 5) return x > 0 ? x : 0;
        double term = z, sum = z;
        for (var n = 1; n < 200; n++)
        {
            term *= 2 * z * z / (2 * n + 1);
            sum += term;
        }

        var erf = 2 / Math.Sqrt(Math.PI) * Math.Exp(-z * z) * sum;
        return 0.5 * x * (1 + Math.Sign(x) * erf);
    }

    public static double[][] Slice(double[][] rows, int start, int count) => [.. rows.Select(row => row[start..(start + count)])];

    public static double[][] Sum(double[][] a, double[][] b) => [.. a.Zip(b, (x, y) => x.Zip(y, (left, right) => left + right).ToArray())];
}
