using System.Text.Json;
using System.Text.Json.Nodes;
using Falcon.Checkpoints.Gguf;
using Falcon.Models.Families;
using Falcon.Runtime;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// The model of a GGUF file: a Hugging Face configuration, and the tensors that it asks for under their names there. A tensor that is
/// missing, misshapen or left over is refused.
/// </summary>
internal sealed class GgufModel
{
    private static readonly string[] Factors = ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];

    private readonly GgufFile _file;
    private readonly Dictionary<string, GgufTensor> _left;
    private readonly GgufConfiguration _configuration;
    private readonly List<GgufImportedTensor> _tensors = [];

    /// <summary>Reads architecture, sizes and names.</summary>
    /// <param name="file">The file, borrowed.</param>
    /// <param name="tokens">Tokens of its vocabulary.</param>
    /// <exception cref="UnsupportedCheckpointException">Something is missing, does not fit, or is not known here.</exception>
    public GgufModel(GgufFile file, int tokens)
    {
        _file = file;
        _left = file.Tensors.ToDictionary(tensor => tensor.Name);
        _configuration = new GgufConfiguration(file);
        var factors = Factors.ToDictionary(name => name, TakeFactors);
        var isTied = !_left.ContainsKey("output.weight") || IsEmbeddingAgain();
        Config = _configuration.ToJson(tokens, isTied, name => _left.ContainsKey("blk.0." + name), name => factors[name]);
        var model = FamilyConfig.Read(new ConfigReader(file.Path, JsonSerializer.SerializeToElement(Config)));
        foreach (var name in GgufTensorNames.Of(model, Architecture))
            Take(name, tokens);
        if (isTied)
            _left.Remove("output.weight");
        if (_left.Count > 0)
            throw Refused(
                $"the architecture {Architecture} with {model.LayerCount} layers ({Architecture}.block_count) has no place for the tensor "
                    + Shown(_left.Keys.First())
            );
    }

    /// <summary>The name of the architecture.</summary>
    public string Architecture => _configuration.Architecture;

    /// <summary>The configuration, without the tokens' ids.</summary>
    public JsonObject Config { get; }

    /// <summary>The tensors under their Hugging Face names.</summary>
    public IReadOnlyList<GgufImportedTensor> Tensors => _tensors;

    /// <summary>Longest sequence.</summary>
    public int Positions => _configuration.Positions;

    private void Take(GgufTensorName name, int tokens)
    {
        if (!_left.Remove(name.File, out var tensor))
            throw Refused(
                $"the tensor {name.File} is missing (the architecture {Architecture} with {Architecture}.block_count "
                    + $"{_file.Metadata.Integer(Architecture + ".block_count")} needs it)"
            );
        if (!tensor.Shape.SequenceEqual(name.FileShape))
            throw Refused(
                $"{name.File} has the shape {tensor.ShapeText}; [{string.Join(", ", name.FileShape)}] is needed"
                    + (name.File == "token_embd.weight" ? $" for the {tokens} tokens (tokenizer.ggml.tokens)" : "")
            );
        _tensors.Add(new GgufImportedTensor(name, tensor));
    }

    private float[]? TakeFactors(string name)
    {
        var hasPlace = name == "rope_freqs.weight" ? Architecture == "llama" : Architecture == "phi3";
        if (!hasPlace || !_left.Remove(name, out var tensor))
            return null;
        if (tensor.Shape is not [var pairs] || pairs > _configuration.HeadSize / 2)
            throw Refused($"{name} has the shape {tensor.ShapeText}");
        var values = new float[pairs];
        _file.Read(tensor, 0, values);
        if (values.Any(value => !(value > 0)))
            throw Refused($"{name} has a value that is not above 0");
        return values;
    }

    // Some runners want an output matrix of every model; a copy of the embedding says nothing new.
    private bool IsEmbeddingAgain() =>
        _left.TryGetValue("token_embd.weight", out var embedding)
        && _left["output.weight"] is var output
        && output.Type == embedding.Type
        && output.Shape.SequenceEqual(embedding.Shape)
        && _file.HaveSameBytes(output, embedding);

    private UnsupportedCheckpointException Refused(string reason) =>
        new($"{_file.Path}: {reason}. Take another file of the model, or convert it from its Hugging Face directory.");

    private static string Shown(string text) => string.Concat(text.Take(60).Select(one => char.IsControl(one) ? '?' : one));
}
