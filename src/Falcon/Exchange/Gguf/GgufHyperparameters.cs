using System.Globalization;
using System.Runtime.InteropServices;
using Falcon.Checkpoints.Gguf;
using Falcon.Models.Families;
using Falcon.Runtime;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// The keys by which llama.cpp builds a model, and its rotary factors as tensors. What llama.cpp has no key for, or fixes in its code, must
/// be as it has it; otherwise the model is refused. Source: llama.cpp's converter and the behaviour of its runner.
/// </summary>
internal sealed class GgufHyperparameters
{
    private readonly ModelConfig _config;
    private readonly string _directory;
    private readonly int? _originalPositions;
    private readonly List<(string Key, object Value)> _keys = [];
    private readonly List<GgufSource> _tensors = [];
    private readonly List<string> _notes = [];

    /// <summary>Checks the model and makes its keys.</summary>
    /// <param name="config">The model.</param>
    /// <param name="directory">Its directory, for messages.</param>
    /// <param name="originalPositions"><c>original_max_position_embeddings</c> of config.json, if it is there.</param>
    /// <exception cref="UnsupportedCheckpointException">llama.cpp would compute something else; the message says what.</exception>
    public GgufHyperparameters(ModelConfig config, string directory, int? originalPositions)
    {
        (_config, _directory, _originalPositions) = (config, directory, originalPositions);
        Architecture = config.ModelType switch
        {
            "llama" or "mistral" => "llama",
            "gemma3" or "gemma3_text" => "gemma3",
            "gpt_neox" => "gptneox",
            "qwen2" or "qwen3" or "gemma2" or "phi3" or "gpt2" or "smollm3" => config.ModelType,
            var other => throw Refused($"llama.cpp has no architecture for the family {other}", "it cannot be exported"),
        };
        RequireActivation();
        RequireBiases();
        RequireAttention();
        RequireWindows();
        RequireHead();
        Sizes();
        Rotation();
    }

    /// <summary>The architecture's name in GGUF files.</summary>
    public string Architecture { get; }

    /// <summary>Keys and values, without those of <c>general</c> and the tokenizer.</summary>
    public IReadOnlyList<(string Key, object Value)> Keys => _keys;

    /// <summary>Rotary factors.</summary>
    public IReadOnlyList<GgufSource> Tensors => _tensors;

    /// <summary>Where the runner differs a little, in sentences.</summary>
    public IReadOnlyList<string> Notes => _notes;

    /// <summary>Whether the runner wants an output matrix even if it is the embedding.</summary>
    public bool NeedsHead => Architecture is "gptneox" or "phi3";

    private bool IsGpt => Architecture is "gpt2" or "gptneox";

    private bool IsGemma => Architecture is "gemma2" or "gemma3";

    private void RequireActivation()
    {
        var silu = !IsGpt && !IsGemma;
        if (silu != (_config.Activation == ActivationKind.Silu))
            throw Refused(
                $"the activation is {_config.Activation}",
                $"llama.cpp computes {Architecture} models with {(silu ? "SiLU" : "GELU")}"
            );
        if (_config.Activation == ActivationKind.Gelu)
            _notes.Add("llama.cpp computes GELU by its tanh approximation; outputs differ by about 0.001.");
    }

    private void RequireBiases()
    {
        var isLlama = Architecture == "llama";
        if (_config.MlpBias && !isLlama && !IsGpt)
            throw Refused("mlp_bias is true", $"llama.cpp's {Architecture} has no place for these biases");
        if (_config.QueryKeyValueBias != IsGpt && !isLlama && Architecture != "qwen2")
            throw Refused(
                $"attention_bias is {(_config.QueryKeyValueBias ? "true" : "false")}",
                $"llama.cpp's {Architecture} {(IsGpt ? "needs" : "has no place for")} these biases"
            );
    }

    private void RequireAttention()
    {
        var perHead = _config.HiddenSize / _config.HeadCount;
        if (Architecture is "qwen2" or "phi3" && _config.HeadSize * _config.HeadCount != _config.HiddenSize)
            throw Refused($"head_dim is {_config.HeadSize}", $"llama.cpp's {Architecture} has heads of hidden_size / num_attention_heads");
        // The 27B models of Gemma, which llama.cpp knows by their number of layers, divide by another number.
        var isLargest = (Architecture, _config.LayerCount) is ("gemma2", 46) or ("gemma3", 62);
        var divisor = isLargest ? perHead : _config.HeadSize;
        if (_config.ScoreScalar is { } scalar && scalar != divisor)
            throw Refused(
                string.Create(CultureInfo.InvariantCulture, $"attention scores are divided by the root of {scalar}"),
                $"llama.cpp takes {divisor} for {Architecture} models of {_config.LayerCount} layers"
            );
        if (_config.ScoreScalar is null && isLargest && perHead != _config.HeadSize)
            throw Refused("query_pre_attn_scalar is missing", $"llama.cpp takes {divisor}");
        if (_config.ScoresFallWithDepth)
            throw Refused("scale_attn_by_inverse_layer_idx is true", "llama.cpp has no key for it");
        if (Architecture == "gemma2" && (_config.ScoreCap is null || _config.LogitCap is null))
            throw Refused("a soft cap is null", "llama.cpp always caps the scores and logits of gemma2 models");
        if (Architecture != "gemma2" && (_config.ScoreCap ?? _config.LogitCap) is not null)
            throw Refused("a soft cap is set", $"llama.cpp has none in {Architecture} models");
    }

    private void RequireWindows()
    {
        int? Window(int layer) => _config.SlidingWindows[layer];
        if (!IsGemma)
        {
            if (_config.SlidingWindows.Where(window => window < _config.MaxPositions).Min() is { } narrow)
                throw Refused(
                    $"the sliding window is {narrow} and max_position_embeddings {_config.MaxPositions}",
                    $"llama.cpp attends to everything in {Architecture} models; set max_position_embeddings to {narrow} in a copy of "
                        + "config.json to export the model for texts of that length"
                );
            return;
        }

        var period = Architecture == "gemma2" ? 2 : 6;
        for (var layer = 0; layer < _config.LayerCount; layer++)
            if (Window(layer) is null == (layer + 1) % period > 0 || (Window(layer) is { } window && window != _config.SlidingWindows[0]))
                throw Refused(
                    $"layer {layer} {(Window(layer) is null ? "attends to everything" : $"has a window of {Window(layer)}")}",
                    $"in llama.cpp every layer of a {Architecture} model has the same window but for each {period}th, which has none"
                );
    }

    private void RequireHead()
    {
        if (IsGemma && !_config.TiedEmbeddings)
            throw Refused("tie_word_embeddings is false", $"llama.cpp's {Architecture} takes the embedding as its output matrix");
    }

    private void Sizes()
    {
        Add("context_length", _config.MaxPositions);
        Add("embedding_length", _config.HiddenSize);
        Add("block_count", _config.LayerCount);
        Add("feed_forward_length", _config.IntermediateSize);
        Add("attention.head_count", _config.HeadCount);
        if (!IsGpt)
            Add("attention.head_count_kv", _config.KeyValueHeadCount);
        Add(IsGpt ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", _config.NormEpsilon);
        if (Architecture is "llama" or "qwen3" or "gemma2" or "gemma3" or "smollm3")
        {
            Add("attention.key_length", _config.HeadSize);
            Add("attention.value_length", _config.HeadSize);
        }

        if (Architecture is "llama" or "smollm3")
            Add("vocab_size", _config.VocabularySize);
        if (_config.ScoreCap is { } scores)
            Add("attn_logit_softcapping", scores);
        if (_config.LogitCap is { } logits)
            Add("final_logit_softcapping", logits);
        if (IsGemma)
            Add("attention.sliding_window", _config.SlidingWindows[0]!.Value);
        if (Architecture == "phi3")
            Add("attention.sliding_window", 0);
        if (Architecture == "gptneox")
            _keys.Add(("gptneox.use_parallel_residual", _config.ParallelResidual));
    }

    private void Rotation()
    {
        if (Architecture == "gpt2")
            return;
        for (var layer = 0; layer < _config.LayerCount; layer++)
            if (_config.Ropes[layer] is null != (Architecture == "smollm3" && (layer + 1) % 4 == 0))
                throw Refused(
                    $"layer {layer} {(_config.Ropes[layer] is null ? "does not rotate" : "rotates")}",
                    $"llama.cpp rotates all layers{(Architecture == "smollm3" ? " but each fourth" : "")} of {Architecture} models"
                );
        var (rope, theta) = (_config.Ropes[_config.LayerCount - 1] ?? _config.Ropes[0]!, _config.Ropes[0]!.Theta);
        if (Architecture == "gemma3")
        {
            // Layers with a window have a base of their own and no scaling.
            var local = _config.Ropes[0]!;
            if (local.Type != "default")
                throw Refused($"layers with a window have the rope_type {local.Type}", "llama.cpp does not scale them");
            rope = Enumerable
                .Range(0, _config.LayerCount)
                .Where(layer => layer % 6 == 5)
                .Select(layer => _config.Ropes[layer])
                .FirstOrDefault()
                ?? local;
            Add("rope.freq_base_swa", local.Theta);
            theta = rope.Theta;
        }

        Add("rope.freq_base", theta);
        if (Architecture is "llama" or "smollm3" or "phi3" or "gptneox")
            Add("rope.dimension_count", rope.RotarySize(_config.HeadSize));
        Scaling(rope);
    }

    private void Scaling(RopeConfig rope)
    {
        var original = rope.OriginalMaxPositions > 0 ? rope.OriginalMaxPositions : _originalPositions ?? _config.MaxPositions;
        switch (rope.Type)
        {
            case "default":
                break;
            case "linear":
                _keys.Add(($"{Architecture}.rope.scaling.type", "linear"));
                Add("rope.scaling.factor", rope.Factor);
                break;
            case "llama3" when Architecture == "llama":
                var plain = (rope with { Type = "default" }).InverseFrequencies(_config.HeadSize);
                var divisors = rope.InverseFrequencies(_config.HeadSize).Zip(plain, (scaled, unscaled) => unscaled / scaled);
                Factors("rope_freqs.weight", divisors);
                break;
            case "yarn":
                if (Math.Abs(rope.AttentionFactor - (1 + 0.1 * Math.Log(rope.Factor))) > 1e-6 || !rope.Truncate)
                    throw Refused("rope_scaling sets attention_factor, mscale or truncate", "llama.cpp takes the usual values of yarn");
                _keys.Add(($"{Architecture}.rope.scaling.type", "yarn"));
                Add("rope.scaling.factor", rope.Factor);
                Add("rope.scaling.original_context_length", original);
                if ((rope.BetaFast, rope.BetaSlow) != (32, 1))
                    throw Refused("rope_scaling sets beta_fast or beta_slow", "llama.cpp takes 32 and 1");
                break;
            case "longrope" when Architecture == "phi3":
                Add("rope.scaling.attn_factor", rope.AttentionFactor);
                Factors("rope_factors_long.weight", rope.LongFactors);
                Factors("rope_factors_short.weight", rope.ShortFactors);
                _notes.Add(
                    $"llama.cpp takes the long rotary factors as soon as its context is above {original} tokens (it rounds contexts up to "
                        + $"a multiple of 256), whatever the text's length: run short texts with a context of at most {original}."
                );
                break;
            default:
                throw Refused($"the rope_type is {rope.Type}", $"llama.cpp has no such scaling for {Architecture} models");
        }

        if (Architecture == "phi3" && rope.Type != "yarn")
            Add("rope.scaling.original_context_length", original);
    }

    private void Factors(string name, IEnumerable<double> factors)
    {
        float[] values = [.. factors.Select(factor => (float)factor)];
        _tensors.Add(
            new GgufSource(name, GgufType.Named("F32"), [values.Length], stream => stream.Write(MemoryMarshal.AsBytes(values.AsSpan())))
        );
    }

    private void Add(string key, int value) => _keys.Add(($"{Architecture}.{key}", (uint)value));

    private void Add(string key, double value) => _keys.Add(($"{Architecture}.{key}", (float)value));

    private UnsupportedCheckpointException Refused(string what, string why) =>
        new($"{Path.Combine(_directory, "config.json")}: {what}, and {why}. A GGUF file of it would not run rightly; none is written.");
}
