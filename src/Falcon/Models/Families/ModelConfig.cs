using System.Text.Json;
using Falcon.Runtime;
using Falcon.Runtime.Files;

namespace Falcon.Models.Families;

/// <summary>The architecture of a decoder-only transformer, read from a Hugging Face <c>config.json</c>.</summary>
/// <remarks>
/// An unknown key, model type, activation or RoPE scaling is refused by name, since ignoring one (a scaling, a bias, a window) would
/// silently give other logits.
/// </remarks>
public sealed record ModelConfig
{
    /// <summary>The family, as <c>model_type</c> names it (docs/families.md).</summary>
    public required string ModelType { get; init; }

    /// <summary>How the decoder is built and what its tensors are called.</summary>
    public required ArchitectureDescription Architecture { get; init; }

    /// <summary>Number of tokens in the vocabulary (V).</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Width of the residual stream (H).</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width of the MLP's inner layer (I).</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Number of decoder layers.</summary>
    public required int LayerCount { get; init; }

    /// <summary>Number of query heads (A).</summary>
    public required int HeadCount { get; init; }

    /// <summary>Number of key/value heads; each serves HeadCount / KeyValueHeadCount query heads.</summary>
    public required int KeyValueHeadCount { get; init; }

    /// <summary>Width of one head (D); may differ from HiddenSize / HeadCount.</summary>
    public required int HeadSize { get; init; }

    /// <summary>The epsilon under the root of a norm.</summary>
    public required double NormEpsilon { get; init; }

    /// <summary>Longest sequence the model was made for.</summary>
    public required int MaxPositions { get; init; }

    /// <summary>Whether the output head is the embedding matrix.</summary>
    public required bool TiedEmbeddings { get; init; }

    /// <summary>Whether the file says <see cref="TiedEmbeddings"/> itself; otherwise it is the family's default.</summary>
    public bool DeclaresTiedEmbeddings { get; init; } = true;

    /// <summary>Whether the q, k and v projections have a bias.</summary>
    public bool QueryKeyValueBias { get; init; }

    /// <summary>Whether the o projection has a bias.</summary>
    public bool OutputBias { get; init; }

    /// <summary>Whether the matrices of the MLP have a bias.</summary>
    public bool MlpBias { get; init; }

    /// <summary>Whether queries and keys are normalised per head before RoPE (Qwen3, Gemma 3).</summary>
    public bool QueryKeyNorm { get; init; }

    /// <summary>The activation function of the MLP.</summary>
    public ActivationKind Activation { get; init; }

    /// <summary>
    /// Whether attention and MLP of a layer read the same residual stream (GPT-NeoX). Otherwise the MLP reads the stream after attention.
    /// </summary>
    public bool ParallelResidual { get; init; }

    /// <summary>Attention scores are divided by the square root of this number; null for the head size D.</summary>
    public double? ScoreScalar { get; init; }

    /// <summary>Whether the scores of layer i (from 0) are also divided by i + 1 (a GPT-2 option).</summary>
    public bool ScoresFallWithDepth { get; init; }

    /// <summary>Soft cap c of attention scores s, c · tanh(s / c) (Gemma 2); null for none.</summary>
    public double? ScoreCap { get; init; }

    /// <summary>Soft cap of logits, likewise; null for none.</summary>
    public double? LogitCap { get; init; }

    /// <summary>Rotary position embedding of each layer; null for a layer that does not rotate.</summary>
    public required IReadOnlyList<RopeConfig?> Ropes { get; init; }

    /// <summary>
    /// Whether the rotation of some layer depends on the text length, so that cached keys become invalid when a text grows past a bound.
    /// </summary>
    public bool RotationDependsOnLength => Ropes.Any(rope => rope is { DependsOnLength: true });

    /// <summary>The divisor of the attention scores of a layer.</summary>
    internal double ScoreDivisor(int layer) => Math.Sqrt(ScoreScalar ?? HeadSize) * (ScoresFallWithDepth ? layer + 1 : 1);

    /// <summary>The sliding attention window of each layer in tokens; null for full causal attention.</summary>
    public required IReadOnlyList<int?> SlidingWindows { get; init; }

    /// <summary>
    /// The dtype that the file declares for the weights (<c>dtype</c> or <c>torch_dtype</c>); the stored dtype is in the safetensors
    /// header.
    /// </summary>
    public string? DeclaredDType { get; init; }

    /// <summary>
    /// Token ids that end a generation: <c>eos_token_id</c> of config.json, then those that only generation_config.json has.
    /// </summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>Reads <c>config.json</c> in <paramref name="directory"/>.</summary>
    /// <exception cref="UserInputException">The directory or the file is missing, or it is not JSON.</exception>
    /// <exception cref="UnsupportedCheckpointException">A key or value is not supported; the message names it.</exception>
    public static ModelConfig Load(string directory)
    {
        if (!Directory.Exists(directory))
            throw new UserInputException(
                $"{directory}: no such directory. Give the folder of a Hugging Face checkpoint "
                    + "(config.json, *.safetensors, tokenizer.json)."
            );
        var path = Path.Combine(directory, "config.json");
        if (!File.Exists(path))
            throw new UserInputException($"{path}: not found. A Hugging Face checkpoint directory has a config.json beside its weights.");
        var config = Read(path);
        return config with { EosTokenIds = [.. config.EosTokenIds.Union(GenerationConfig.EosTokenIds(directory))] };
    }

    /// <summary>Reads one configuration file.</summary>
    /// <inheritdoc cref="Load(string)" path="/exception"/>
    public static ModelConfig Read(string path)
    {
        LfsPointer.Refuse(path);
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(File.ReadAllBytes(path));
        }
        catch (JsonException e)
        {
            throw new UserInputException(
                $"{path}: not valid JSON (line {e.LineNumber + 1}). Restore the file from the original checkpoint.",
                e
            );
        }
        using (document)
        {
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new UnsupportedCheckpointException($"{path}: expected a JSON object.");
            try
            {
                return FamilyConfig.Read(new ConfigReader(path, document.RootElement));
            }
            catch (InvalidOperationException e) // of the JSON reader, for bytes or escapes that are no text
            {
                throw new UnsupportedCheckpointException(
                    $"{path}: a text in it is not valid Unicode. Restore the file from the original checkpoint.",
                    e
                );
            }
        }
    }
}
