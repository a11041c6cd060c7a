using System.Globalization;
using System.Text.Json.Nodes;
using Falcon.Checkpoints.Gguf;
using Falcon.Runtime;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// What a GGUF file says about its model, as a Hugging Face configuration and the tensors under their names there. Source of the keys and
/// of the order of rows: llama.cpp's converter, whose output is in the fixtures.
/// </summary>
internal sealed class GgufModel
{
    private static readonly string[] Architectures = ["llama", "qwen2", "qwen3"];

    private readonly GgufFile _file;
    private readonly GgufMetadata _metadata;
    private readonly Dictionary<string, GgufTensor> _left;
    private readonly List<GgufImportedTensor> _tensors = [];
    private float[]? _rotaryFactors;
    private readonly int _hidden,
        _intermediate,
        _layers,
        _heads,
        _keyValueHeads,
        _headSize,
        _positions,
        _tokens;

    /// <summary>Reads architecture, sizes and names.</summary>
    /// <param name="file">The file, borrowed.</param>
    /// <param name="tokens">Tokens of its vocabulary.</param>
    /// <exception cref="UnsupportedCheckpointException">Something is missing, does not fit, or is not known here.</exception>
    public GgufModel(GgufFile file, int tokens)
    {
        (_file, _metadata, _tokens) = (file, file.Metadata, tokens);
        _left = file.Tensors.ToDictionary(tensor => tensor.Name);
        Architecture = _metadata.Text("general.architecture");
        if (!Architectures.Contains(Architecture))
            throw Refused($"general.architecture is '{Shown(Architecture)}'; read are {string.Join(", ", Architectures)}");
        _layers = _metadata.Integer(Key("block_count"), 1, file.Tensors.Count);
        _hidden = _metadata.Integer(Key("embedding_length"), 1, 1 << 20);
        _intermediate = _metadata.Integer(Key("feed_forward_length"), 1, 1 << 24);
        _positions = _metadata.Integer(Key("context_length"), 1, int.MaxValue);
        _heads = _metadata.Integer(Key("attention.head_count"), 1, _hidden);
        _keyValueHeads = _metadata.Has(Key("attention.head_count_kv"))
            ? _metadata.Integer(Key("attention.head_count_kv"), 1, _heads)
            : _heads;
        if (_heads % _keyValueHeads != 0)
            throw _metadata.Wrong(Key("attention.head_count_kv"), $"a divisor of the {_heads} heads ({Key("attention.head_count")})");
        _headSize = _metadata.Has(Key("attention.key_length")) ? _metadata.Integer(Key("attention.key_length"), 2, 1 << 16) : HeadSize();
        foreach (var key in new[] { Key("attention.value_length"), Key("rope.dimension_count") })
            if (_metadata.Has(key) && _metadata.Integer(key) != _headSize)
                throw _metadata.Wrong(key, $"{_headSize}, the size of a head");
        RefuseUnknownKeys();
        TakeTensors();
        Config = MakeConfig();
    }

    /// <summary>The name of the architecture.</summary>
    public string Architecture { get; }

    /// <summary>The configuration, without the tokens' ids.</summary>
    public JsonObject Config { get; }

    /// <summary>The tensors under their Hugging Face names.</summary>
    public IReadOnlyList<GgufImportedTensor> Tensors => _tensors;

    /// <summary>Longest sequence.</summary>
    public int Positions => _positions;

    private string Key(string name) => $"{Architecture}.{name}";

    private int HeadSize() =>
        _hidden % _heads == 0
            ? _hidden / _heads
            : throw _metadata.Wrong(Key("attention.head_count"), $"a divisor of {Key("embedding_length")} ({_hidden})");

    private JsonObject MakeConfig()
    {
        var (type, name) = Architecture switch
        {
            "qwen2" => ("qwen2", "Qwen2ForCausalLM"),
            "qwen3" => ("qwen3", "Qwen3ForCausalLM"),
            _ => ("llama", "LlamaForCausalLM"),
        };
        var config = new JsonObject
        {
            ["architectures"] = new JsonArray(name),
            ["model_type"] = type,
            ["vocab_size"] = _tokens,
            ["hidden_size"] = _hidden,
            ["intermediate_size"] = _intermediate,
            ["num_hidden_layers"] = _layers,
            ["num_attention_heads"] = _heads,
            ["num_key_value_heads"] = _keyValueHeads,
            ["head_dim"] = _headSize,
            ["max_position_embeddings"] = _positions,
            ["hidden_act"] = "silu",
            ["rms_norm_eps"] = Positive(Key("attention.layer_norm_rms_epsilon")),
            ["rope_theta"] = Theta(),
            ["tie_word_embeddings"] = _tensors.All(tensor => tensor.Name != "lm_head.weight"),
        };
        if (type == "llama")
            config["attention_bias"] = _tensors.Any(tensor => tensor.Name.EndsWith("q_proj.bias", StringComparison.Ordinal));
        if (Scaling() is { } scaling)
            config["rope_scaling"] = scaling;
        return config;
    }

    private double Theta() => _metadata.Has(Key("rope.freq_base")) ? Positive(Key("rope.freq_base")) : 10000;

    private JsonObject? Scaling()
    {
        if (_rotaryFactors is not null)
            return Llama3Scaling.Of(_rotaryFactors, Theta())
                ?? throw Refused(
                    "rope_freqs.weight are not those of a Llama 3 scaling with frequency factors 1 and 4; others are not read"
                );
        var key = Key("rope.scaling.type");
        if (!_metadata.Has(key) || _metadata.Text(key) == "none")
            return null;
        if (_metadata.Text(key) != "linear")
            throw _metadata.Wrong(key, "none or linear; other scalings are not read");
        return new JsonObject { ["rope_type"] = "linear", ["factor"] = Positive(Key("rope.scaling.factor")) };
    }

    // Stored as float32: the shortest number that reads as the same float32 is what the configuration said.
    private double Positive(string key)
    {
        var number = _metadata.Number(key);
        if (!(number > 0))
            throw _metadata.Wrong(key, "a number above 0");
        return double.Parse(((float)number).ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
    }

    private void RefuseUnknownKeys()
    {
        string[] known =
        [
            "vocab_size",
            "context_length",
            "embedding_length",
            "block_count",
            "feed_forward_length",
            "attention.head_count",
            "attention.head_count_kv",
            "attention.key_length",
            "attention.value_length",
            "attention.layer_norm_rms_epsilon",
            "rope.freq_base",
            "rope.dimension_count",
            "rope.scaling.type",
            "rope.scaling.factor",
        ];
        var unknown = _metadata.Keys.FirstOrDefault(key =>
            key.StartsWith(Architecture + ".", StringComparison.Ordinal) && !known.Contains(key[(Architecture.Length + 1)..])
        );
        if (unknown is not null)
            throw Refused($"the key {Shown(unknown)} of the architecture is not known here, so the model may compute otherwise");
    }

    private void TakeTensors()
    {
        var (queries, keys) = (_heads * _headSize, _keyValueHeads * _headSize);
        var permuted = Architecture == "llama" ? _headSize : 0;
        Take("token_embd.weight", "model.embed_tokens.weight", [_tokens, _hidden]);
        for (var layer = 0; layer < _layers; layer++)
        {
            void Layer(string name, string hub, long[] shape, int rotated = 0, bool optional = false) =>
                Take($"blk.{layer}.{name}", $"model.layers.{layer}.{hub}", shape, rotated, optional);
            Layer("attn_norm.weight", "input_layernorm.weight", [_hidden]);
            Layer("attn_q.weight", "self_attn.q_proj.weight", [queries, _hidden], permuted);
            Layer("attn_k.weight", "self_attn.k_proj.weight", [keys, _hidden], permuted);
            Layer("attn_v.weight", "self_attn.v_proj.weight", [keys, _hidden]);
            Layer("attn_output.weight", "self_attn.o_proj.weight", [_hidden, queries]);
            var biases = Architecture == "qwen2" || _left.ContainsKey($"blk.{layer}.attn_q.bias");
            Layer("attn_q.bias", "self_attn.q_proj.bias", [queries], permuted, !biases);
            Layer("attn_k.bias", "self_attn.k_proj.bias", [keys], permuted, !biases);
            Layer("attn_v.bias", "self_attn.v_proj.bias", [keys], optional: !biases);
            Layer("attn_output.bias", "self_attn.o_proj.bias", [_hidden], optional: !biases || Architecture != "llama");
            if (Architecture == "qwen3")
            {
                Layer("attn_q_norm.weight", "self_attn.q_norm.weight", [_headSize]);
                Layer("attn_k_norm.weight", "self_attn.k_norm.weight", [_headSize]);
            }

            Layer("ffn_norm.weight", "post_attention_layernorm.weight", [_hidden]);
            Layer("ffn_gate.weight", "mlp.gate_proj.weight", [_intermediate, _hidden]);
            Layer("ffn_up.weight", "mlp.up_proj.weight", [_intermediate, _hidden]);
            Layer("ffn_down.weight", "mlp.down_proj.weight", [_hidden, _intermediate]);
        }

        if (Architecture == "llama" && _left.Remove("rope_freqs.weight", out var factors))
        {
            if (!factors.Shape.SequenceEqual([_headSize / 2L]))
                throw Refused($"rope_freqs.weight has the shape {factors.ShapeText}");
            _rotaryFactors = new float[_headSize / 2];
            _file.Read(factors, 0, _rotaryFactors);
        }

        Take("output_norm.weight", "model.norm.weight", [_hidden]);
        Take("output.weight", "lm_head.weight", [_tokens, _hidden], optional: true);
        if (_left.Count > 0)
            throw Refused(
                $"the architecture {Architecture} with {_layers} layers ({Key("block_count")}) has no place for the tensor "
                    + Shown(_left.Keys.First())
            );
    }

    private void Take(string name, string hub, long[] shape, int rotated = 0, bool optional = false)
    {
        if (!_left.Remove(name, out var tensor))
        {
            if (optional)
                return;
            throw Refused($"the tensor {name} is missing (the architecture {Architecture} with {Key("block_count")} {_layers} needs it)");
        }

        if (!tensor.Shape.SequenceEqual(shape))
            throw Refused(
                $"{name} has the shape {tensor.ShapeText}; [{string.Join(", ", shape)}] is needed"
                    + (name == "token_embd.weight" ? $" for the {_tokens} tokens (tokenizer.ggml.tokens)" : "")
            );
        _tensors.Add(new GgufImportedTensor(hub, tensor, rotated));
    }

    private UnsupportedCheckpointException Refused(string reason) =>
        new($"{_file.Path}: {reason}. Take another file of the model, or convert it from its Hugging Face directory.");

    private static string Shown(string text) => string.Concat(text.Take(60).Select(one => char.IsControl(one) ? '?' : one));
}
