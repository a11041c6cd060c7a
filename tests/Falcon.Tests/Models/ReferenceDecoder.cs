using System.Text.Json.Nodes;

namespace Falcon.Tests.Models;

/// <summary>
/// Forward passes of the families in double precision, written plainly from their published formulas for one text at a time: no batches, no
/// kernels, no code of the library.
/// </summary>
internal sealed class ReferenceDecoder(JsonObject config, IReadOnlyDictionary<string, (long[] Shape, float[] Values)> weights)
{
    /// <summary>Logits of every position.</summary>
    public double[][] Logits(int[] ids) =>
        Text("model_type") switch
        {
            "gpt2" => Gpt2(ids),
            "gpt_neox" => GptNeoX(ids),
            "gemma3" => new ReferenceDecoder(TextConfig(), WithoutPrefix()).Logits(ids),
            _ => Rotary(ids),
        };

    private double[][] Rotary(int[] ids)
    {
        var type = Text("model_type");
        var gemma = type is "gemma2" or "gemma3_text";
        int hidden = Int("hidden_size"),
            heads = Int("num_attention_heads"),
            pairs = Int("num_key_value_heads"),
            size = config.ContainsKey("head_dim") ? Int("head_dim") : hidden / heads,
            inner = Int("intermediate_size");
        double[] Norm(string name, double[] x) => RootMeanSquare(name, x, Number("rms_norm_eps"), gemma);
        var x = ids.Select(id => Row("model.embed_tokens.weight", id).Select(value => gemma ? value * Math.Sqrt(hidden) : value).ToArray())
            .ToArray();
        for (var layer = 0; layer < Int("num_hidden_layers"); layer++)
        {
            var p = $"model.layers.{layer}.";
            var normed = x.Select(row => Norm(p + "input_layernorm.weight", row)).ToArray();
            double[][] q, k, v;
            if (type == "phi3")
            {
                var all = normed.Select(row => Times(p + "self_attn.qkv_proj", row)).ToArray();
                (q, k, v) = (
                    Slice(all, 0, heads * size),
                    Slice(all, heads * size, pairs * size),
                    Slice(all, (heads + pairs) * size, pairs * size)
                );
            }
            else
            {
                (q, k, v) = (
                    [.. normed.Select(row => Times(p + "self_attn.q_proj", row))],
                    [.. normed.Select(row => Times(p + "self_attn.k_proj", row))],
                    [.. normed.Select(row => Times(p + "self_attn.v_proj", row))]
                );
            }

            if (type is "qwen3" or "gemma3_text")
            {
                double[] PerHead(string name, double[] row) => [.. row.Chunk(size).SelectMany(head => Norm(p + name, head))];
                q = [.. q.Select(row => PerHead("self_attn.q_norm.weight", row))];
                k = [.. k.Select(row => PerHead("self_attn.k_norm.weight", row))];
            }

            var window = Window(type, layer);
            if (type != "smollm3" || (layer + 1) % 4 != 0)
            {
                var (frequencies, factor) =
                    type == "gemma3_text" && window is not null
                        ? (Plain(Number("rope_local_base_freq"), size), 1)
                        : Frequencies(
                            config["rope_scaling"] as JsonObject,
                            Number("rope_theta"),
                            (int)(size * Number("partial_rotary_factor", 1)),
                            ids.Length
                        );
                Rotate(q, size, frequencies, factor);
                Rotate(k, size, frequencies, factor);
            }

            double? cap = type == "gemma2" ? Number("attn_logit_softcapping") : null;
            var attended = Attention(q, k, v, heads, pairs, size, Math.Sqrt(gemma ? Number("query_pre_attn_scalar") : size), window, cap)
                .Select(row => Times(p + "self_attn.o_proj", row))
                .ToArray();
            if (gemma)
                attended = [.. attended.Select(row => Norm(p + "post_attention_layernorm.weight", row))];
            x = Sum(x, attended);
            var mlp = x.Select(row =>
            {
                var input = Norm(p + (gemma ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight"), row);
                double[] gate, up;
                if (type == "phi3")
                {
                    var both = Times(p + "mlp.gate_up_proj", input);
                    (gate, up) = (both[..inner], both[inner..]);
                }
                else
                {
                    (gate, up) = (Times(p + "mlp.gate_proj", input), Times(p + "mlp.up_proj", input));
                }

                var output = Times(p + "mlp.down_proj", [.. gate.Zip(up, (a, b) => (gemma ? GeluTanh(a) : a / (1 + Math.Exp(-a))) * b)]);
                return gemma ? Norm(p + "post_feedforward_layernorm.weight", output) : output;
            }).ToArray();
            x = Sum(x, mlp);
        }

        var head = weights.ContainsKey("lm_head.weight") ? "lm_head" : "model.embed_tokens";
        return
        [
            .. x.Select(row =>
                Times(head, Norm("model.norm.weight", row))
                    .Select(logit =>
                        type == "gemma2" ? Number("final_logit_softcapping") * Math.Tanh(logit / Number("final_logit_softcapping")) : logit
                    )
                    .ToArray()
            ),
        ];
    }

    private double[][] GptNeoX(int[] ids)
    {
        int hidden = Int("hidden_size"), heads = Int("num_attention_heads"), size = hidden / heads;
        double[] Norm(string name, double[] x) => LayerNorm(name, x, Number("layer_norm_eps"));
        var x = ids.Select(id => Row("gpt_neox.embed_in.weight", id)).ToArray();
        for (var layer = 0; layer < Int("num_hidden_layers"); layer++)
        {
            var p = $"gpt_neox.layers.{layer}.";
            var all = x.Select(row => Times(p + "attention.query_key_value", Norm(p + "input_layernorm", row))).ToArray();
            // Rows of a head stand together: its queries, its keys, its values.
            double[][] Part(int part) =>
                [
                    .. all.Select(row =>
                        Enumerable
                            .Range(0, heads)
                            .SelectMany(head => row[(head * 3 * size + part * size)..(head * 3 * size + (part + 1) * size)])
                            .ToArray()
                    ),
                ];
            var (q, k, v) = (Part(0), Part(1), Part(2));
            var frequencies = Plain(Number("rotary_emb_base"), (int)(size * Number("rotary_pct")));
            Rotate(q, size, frequencies, 1);
            Rotate(k, size, frequencies, 1);
            var attended = Attention(q, k, v, heads, heads, size, Math.Sqrt(size), null, null)
                .Select(row => Times(p + "attention.dense", row))
                .ToArray();
            var between = Sum(x, attended);
            var read = config["use_parallel_residual"]!.GetValue<bool>() ? x : between;
            var mlp = read.Select(row =>
                    Times(
                        p + "mlp.dense_4h_to_h",
                        [.. Times(p + "mlp.dense_h_to_4h", Norm(p + "post_attention_layernorm", row)).Select(Gelu)]
                    )
                )
                .ToArray();
            x = Sum(between, mlp);
        }

        return [.. x.Select(row => Times("embed_out", Norm("gpt_neox.final_layer_norm", row)))];
    }

    private double[][] Gpt2(int[] ids)
    {
        int hidden = Int("n_embd"), heads = Int("n_head"), size = hidden / heads;
        var start = weights.ContainsKey("wte.weight") ? "" : "transformer.";
        double[] Norm(string name, double[] x) => LayerNorm(name, x, Number("layer_norm_epsilon"));
        var x = ids.Select(
                (id, position) => Row(start + "wte.weight", id).Zip(Row(start + "wpe.weight", position), (a, b) => a + b).ToArray()
            )
            .ToArray();
        for (var layer = 0; layer < Int("n_layer"); layer++)
        {
            var p = $"{start}h.{layer}.";
            var all = x.Select(row => TimesTransposed(p + "attn.c_attn", Norm(p + "ln_1", row))).ToArray();
            var divisor = Math.Sqrt(size) * (config["scale_attn_by_inverse_layer_idx"]?.GetValue<bool>() == true ? layer + 1 : 1);
            x = Sum(
                x,
                [
                    .. Attention(
                            Slice(all, 0, hidden),
                            Slice(all, hidden, hidden),
                            Slice(all, 2 * hidden, hidden),
                            heads,
                            heads,
                            size,
                            divisor,
                            null,
                            null
                        )
                        .Select(row => TimesTransposed(p + "attn.c_proj", row)),
                ]
            );
            x = Sum(
                x,
                [
                    .. x.Select(row =>
                        TimesTransposed(p + "mlp.c_proj", [.. TimesTransposed(p + "mlp.c_fc", Norm(p + "ln_2", row)).Select(GeluTanh)])
                    ),
                ]
            );
        }

        return [.. x.Select(row => Times(start + "wte", Norm(start + "ln_f", row)))];
    }

    private int? Window(string type, int layer) => type switch
    {
        "mistral" or "phi3" => config["sliding_window"]?.GetValue<int>(),
        "gemma2" => layer % 2 == 0 ? Int("sliding_window") : null,
        "gemma3_text" => (layer + 1) % Int("sliding_window_pattern") != 0 ? Int("sliding_window") : null,
        _ => null,
    };

    private static double[] Plain(double theta, int size) =>
        [.. Enumerable.Range(0, size / 2).Select(j => Math.Pow(theta, -2.0 * j / size))];

    private (double[] Frequencies, double Factor) Frequencies(JsonObject? scaling, double theta, int size, int length)
    {
        var plain = Plain(theta, size);
        if (scaling is null) return (plain, 1);
        double Value(string key, double missing = double.NaN) => scaling[key]?.GetValue<double>() ?? missing;
        double limit = Int("max_position_embeddings"), factor = Value("factor");
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
                double short_ = Int("original_max_position_embeddings");
                var divisors = scaling[length > short_ ? "long_factor" : "short_factor"]!
                    .AsArray()
                    .Select(value => value!.GetValue<double>())
                    .ToArray();
                return ([.. plain.Zip(divisors, (f, d) => f / d)], Math.Sqrt(1 + Math.Log(limit / short_) / Math.Log(short_)));
            default:
                throw new NotSupportedException();
        }
    }

    private static void Rotate(double[][] rows, int size, double[] frequencies, double factor)
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

    private static double[][] Attention(
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

    private double[] RootMeanSquare(string name, double[] x, double epsilon, bool plusOne)
    {
        var scale = 1 / Math.Sqrt(x.Sum(value => value * value) / x.Length + epsilon);
        return [.. x.Zip(weights[name].Values, (value, weight) => value * scale * (plusOne ? 1 + weight : weight))];
    }

    private double[] LayerNorm(string module, double[] x, double epsilon)
    {
        var mean = x.Average();
        var scale = 1 / Math.Sqrt(x.Average(value => (value - mean) * (value - mean)) + epsilon);
        return
        [
            .. x.Select((value, i) => (value - mean) * scale * weights[module + ".weight"].Values[i] + weights[module + ".bias"].Values[i]),
        ];
    }

    private static double GeluTanh(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

    // The error function by its series, which converges everywhere and loses nothing that matters for |x| up to 6; beyond, it is 1 to all
    // digits.
    private static double Gelu(double x)
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

    // [out, in] with the bias of the same module where there is one.
    private double[] Times(string module, double[] x)
    {
        var (shape, values) = weights[module + ".weight"];
        var result = new double[shape[0]];
        for (var o = 0; o < result.Length; o++)
        {
            for (var i = 0; i < x.Length; i++) result[o] += (double)values[o * x.Length + i] * x[i];
            if (weights.TryGetValue(module + ".bias", out var bias)) result[o] += bias.Values[o];
        }

        return result;
    }

    // [in, out], as GPT-2 stores its matrices.
    private double[] TimesTransposed(string module, double[] x)
    {
        var (shape, values) = weights[module + ".weight"];
        var result = weights[module + ".bias"].Values.Select(value => (double)value).ToArray();
        for (var i = 0; i < x.Length; i++)
            for (var o = 0; o < result.Length; o++) result[o] += (double)values[i * shape[1] + o] * x[i];
        return result;
    }

    private double[] Row(string name, int row)
    {
        var width = (int)weights[name].Shape[1];
        return [.. weights[name].Values.Skip(row * width).Take(width).Select(value => (double)value)];
    }

    private static double[][] Slice(double[][] rows, int start, int count) => [.. rows.Select(row => row[start..(start + count)])];

    private static double[][] Sum(double[][] a, double[][] b) => [.. a.Zip(b, (x, y) => x.Zip(y, (left, right) => left + right).ToArray())];

    private string Text(string key) => config[key]!.GetValue<string>();

    private int Int(string key) => config[key]!.GetValue<int>();

    private double Number(string key, double missing = double.NaN) => config[key]?.GetValue<double>() ?? missing;

    private JsonObject TextConfig() => config["text_config"]!.AsObject();

    private Dictionary<string, (long[] Shape, float[] Values)> WithoutPrefix() =>
        weights.ToDictionary(item => item.Key.Replace("language_model.", "", StringComparison.Ordinal), item => item.Value);
}
