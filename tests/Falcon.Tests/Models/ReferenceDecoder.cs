using System.Text.Json.Nodes;
using static Falcon.Tests.Models.ReferenceMath;

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
                            ids.Length,
                            config
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

    private string Text(string key) => config[key]!.GetValue<string>();

    private int Int(string key) => config[key]!.GetValue<int>();

    private double Number(string key, double missing = double.NaN) => config[key]?.GetValue<double>() ?? missing;

    private JsonObject TextConfig() => config["text_config"]!.AsObject();

    private Dictionary<string, (long[] Shape, float[] Values)> WithoutPrefix() =>
        weights.ToDictionary(item => item.Key.Replace("language_model.", "", StringComparison.Ordinal), item => item.Value);
}
