using System.Text.Json.Nodes;
using Falcon.Checkpoints.Safetensors;
using TorchSharp;

namespace Falcon.Tests.Attacks.Protocol;

/// <summary>
/// A decoder of the Llama kind (grouped heads, rotation of halves, window, biases and head norms where the configuration has them) in
/// double precision, one token and one number at a time, straight from the files. Shares nothing with the library but the reading of
/// tensors.
/// </summary>
internal sealed class PlainDecoder
{
    private readonly JsonObject _config;
    private readonly Dictionary<string, double[]> _weights = [];
    private readonly int _width, _heads, _keyHeads, _headWidth;
    private readonly double _epsilon, _theta;

    /// <summary>Reads a directory.</summary>
    /// <param name="directory">The model.</param>
    /// <param name="change">Changes the weights by name; null for nothing.</param>
    public PlainDecoder(string directory, Action<Dictionary<string, double[]>>? change = null)
    {
        _config = JsonNode.Parse(File.ReadAllText(Path.Combine(directory, "config.json")))!.AsObject();
        foreach (var path in Directory.EnumerateFiles(directory, "model*.safetensors"))
        {
            using var file = SafetensorsFile.Open(path);
            foreach (var entry in file.Entries)
            {
                using var tensor = TensorBytes.ToTensor(file, entry);
                using var wide = tensor.to(torch.float64);
                _weights[entry.Name] = wide.data<double>().ToArray();
            }
        }

        (_width, _heads) = (Int("hidden_size")!.Value, Int("num_attention_heads")!.Value);
        (_keyHeads, _headWidth, Layers) = (
            Int("num_key_value_heads") ?? _heads,
            Int("head_dim") ?? _width / _heads,
            Int("num_hidden_layers")!.Value
        );
        change?.Invoke(_weights);
        (_epsilon, _theta) = (_config["rms_norm_eps"]!.GetValue<double>(), _config["rope_theta"]?.GetValue<double>() ?? 10000);
    }

    public int Layers { get; }

    /// <summary>
    /// The four vectors of every layer at every token: what attention adds, the stream after it, what the MLP adds, the stream after the
    /// block.
    /// </summary>
    public double[][][][] Components(int[] tokens) => Components([.. tokens.Select(Embedding)]);

    /// <summary>The embedding of a token.</summary>
    public double[] Embedding(int token) => _weights["model.embed_tokens.weight"].AsSpan(token * _width, _width).ToArray();

    /// <summary>The same from embeddings.</summary>
    public double[][][][] Components(double[][] stream)
    {
        var all = new double[Layers][][][];
        for (var layer = 0; layer < Layers; layer++)
        {
            var attention = Attention(layer, [.. stream.Select(x => Norm(x, $"model.layers.{layer}.input_layernorm.weight"))]);
            var middle = stream.Zip(attention, Sum).ToArray();
            var mlp = middle.Select(x => Mlp(layer, Norm(x, $"model.layers.{layer}.post_attention_layernorm.weight"))).ToArray();
            stream = [.. middle.Zip(mlp, Sum)];
            all[layer] = [attention, middle, mlp, stream];
        }

        return all;
    }

    /// <summary>log p of a token read from a vector through the final norm and the head.</summary>
    public double LogProbability(double[] vector, int token)
    {
        var head = _weights.ContainsKey("lm_head.weight") ? "lm_head.weight" : "model.embed_tokens.weight";
        var logits = Product(head, Norm(vector, "model.norm.weight"));
        var most = logits.Max();
        return logits[token] - most - Math.Log(logits.Sum(logit => Math.Exp(logit - most)));
    }

    private int? Int(string name) => _config[name]?.GetValue<int>();

    private static double[] Sum(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x + y)];

    private double[] Norm(double[] x, string weight)
    {
        var scale = 1 / Math.Sqrt(x.Sum(value => value * value) / x.Length + _epsilon);
        return [.. x.Zip(_weights[weight], (value, factor) => value * scale * factor)];
    }

    private double[] Product(string weight, double[] x)
    {
        var matrix = _weights[weight];
        return
        [
            .. Enumerable
                .Range(0, matrix.Length / x.Length)
                .Select(row => Enumerable.Range(0, x.Length).Sum(i => matrix[row * x.Length + i] * x[i])),
        ];
    }

    private double[] Linear(int layer, string module, double[] x)
    {
        var name = $"model.layers.{layer}.{module}";
        var product = Product(name + ".weight", x);
        return _weights.TryGetValue(name + ".bias", out var bias) ? Sum(product, bias) : product;
    }

    private double[] Mlp(int layer, double[] x)
    {
        var (gate, up) = (Linear(layer, "mlp.gate_proj", x), Linear(layer, "mlp.up_proj", x));
        return Linear(layer, "mlp.down_proj", [.. gate.Zip(up, (g, u) => g / (1 + Math.Exp(-g)) * u)]);
    }

    private double[][] Attention(int layer, double[][] inputs)
    {
        double[][] Heads(string module, int count, string? norm, bool rotate) =>
            [
                .. inputs.SelectMany(
                    (x, position) =>
                    {
                        var all = Linear(layer, module, x);
                        return Enumerable
                            .Range(0, count)
                            .Select(head =>
                            {
                                var one = all[(head * _headWidth)..((head + 1) * _headWidth)];
                                if (norm is not null && _weights.ContainsKey($"model.layers.{layer}.{norm}.weight"))
                                    one = Norm(one, $"model.layers.{layer}.{norm}.weight");
                                return rotate ? Rotate(one, position) : one;
                            });
                    }
                ),
            ];
        var queries = Heads("self_attn.q_proj", _heads, "self_attn.q_norm", rotate: true);
        var keys = Heads("self_attn.k_proj", _keyHeads, "self_attn.k_norm", rotate: true);
        var values = Heads("self_attn.v_proj", _keyHeads, null, rotate: false);
        var window = _config["use_sliding_window"]?.GetValue<bool>() == false ? null : Int("sliding_window");
        return
        [
            .. inputs.Select(
                (_, position) =>
                {
                    var first = window is { } width ? Math.Max(0, position - width + 1) : 0;
                    List<double> mixed = [];
                    for (var head = 0; head < _heads; head++)
                    {
                        var group = head / (_heads / _keyHeads);
                        var scores = Enumerable
                            .Range(first, position - first + 1)
                            .Select(at =>
                                queries[position * _heads + head].Zip(keys[at * _keyHeads + group], (q, k) => q * k).Sum()
                                / Math.Sqrt(_headWidth)
                            )
                            .ToArray();
                        var weights = scores.Select(score => Math.Exp(score - scores.Max())).ToArray();
                        mixed.AddRange(
                            Enumerable
                                .Range(0, _headWidth)
                                .Select(i =>
                                    weights.Select((weight, at) => weight * values[(first + at) * _keyHeads + group][i]).Sum()
                                    / weights.Sum()
                                )
                        );
                    }

            return Linear(layer, "self_attn.o_proj", [.. mixed]);
        })];
    }

    // Element i turns with element i + half by the angle position * theta^(-2i / width).
    private double[] Rotate(double[] x, int position)
    {
        var half = _headWidth / 2;
        var turned = new double[_headWidth];
        for (var i = 0; i < half; i++)
        {
            var angle = position * Math.Pow(_theta, -2.0 * i / _headWidth);
            turned[i] = x[i] * Math.Cos(angle) - x[i + half] * Math.Sin(angle);
            turned[i + half] = x[i + half] * Math.Cos(angle) + x[i] * Math.Sin(angle);
        }

        return turned;
    }
}
