using System.Text.Json.Serialization;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Checkpoints;

/// <summary>What a Hugging Face model directory holds, read without loading a weight into memory.</summary>
/// <param name="Model">The directory, as a full path; or the GGUF file or base model that it was made from, as the user named it.</param>
/// <param name="Architecture">The family of the model, such as <c>llama</c> (docs/families.md).</param>
/// <param name="Parameters">Number of stored weights.</param>
/// <param name="Parts">
/// The number by part of the model: embedding, attention, mlp, norms, output head, other; parts without weights are left out.
/// </param>
/// <param name="Layers">Decoder layers.</param>
/// <param name="HiddenSize">H, the width of the residual stream.</param>
/// <param name="IntermediateSize">I, the width of the MLP's inner layer.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyValueHeads">Key/value heads.</param>
/// <param name="VocabularySize">V, the rows of the embedding.</param>
/// <param name="MaxPositions">Longest sequence the model was made for, in tokens.</param>
/// <param name="TiedEmbeddings">Whether the output head is the embedding.</param>
/// <param name="DTypes">Number of weights by stored dtype.</param>
/// <param name="Tokenizer">The tokenizer; null when the directory has neither tokenizer.json nor tokenizer.model.</param>
/// <param name="Sha256">One hash for all weights (<see cref="ContentHash.OfModel"/>).</param>
/// <param name="Files">Each weight file with size and hash.</param>
/// <param name="Tensors">Every tensor in the order of the files.</param>
/// <param name="Notes">What a reader should know about how the files were understood (<see cref="Checkpoint.Notes"/>).</param>
public sealed record ModelInspection(
    string Model,
    string Architecture,
    long Parameters,
    IReadOnlyDictionary<string, long> Parts,
    int Layers,
    int HiddenSize,
    int IntermediateSize,
    int Heads,
    int KeyValueHeads,
    int VocabularySize,
    int MaxPositions,
    bool TiedEmbeddings,
    IReadOnlyDictionary<string, long> DTypes,
    TokenizerSummary? Tokenizer,
    string Sha256,
    IReadOnlyList<FileHash> Files,
    IReadOnlyList<TensorDescription> Tensors,
    IReadOnlyList<string> Notes
)
{
    /// <summary>
    /// What the directory was made from, where the user named a GGUF file or an adapter; null for a directory as it stands.
    /// </summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ModelSource? Source { get; init; }

    private static readonly string[] PartNames = ["embedding", "attention", "mlp", "norms", "output head", "other"];

    /// <summary>Inspects a model directory and checks its names and shapes against its configuration.</summary>
    /// <param name="directory">The model directory.</param>
    /// <param name="cancellation">Stops the hashing of the files, which takes most of the time.</param>
    /// <exception cref="UserInputException">The directory or a file is missing.</exception>
    /// <exception cref="UnsupportedCheckpointException">The checkpoint or its tokenizer is damaged or not supported.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static ModelInspection Read(string directory, CancellationToken cancellation = default)
    {
        using var checkpoint = Checkpoint.Open(directory);
        var tokenizer = TokenizerFiles.AreIn(directory) ? HfTokenizer.Load(directory) : null;
        var hash = ContentHash.OfModel(directory, cancellation);
        var config = checkpoint.Config;
        var source = ModelSource.Of(directory);
        var counts = checkpoint.Entries
            .Select(entry => (Part: PartOf(entry.Name, config.Architecture), entry.DType, Count: CountOf(entry.Shape)))
            .ToList();
        return new ModelInspection(
            source?.Model ?? checkpoint.Directory,
            config.ModelType,
            checkpoint.ParameterCount,
            counts
                .GroupBy(item => item.Part)
                .OrderBy(part => Array.IndexOf(PartNames, part.Key))
                .ToDictionary(part => part.Key, part => part.Sum(item => item.Count)),
            config.LayerCount,
            config.HiddenSize,
            config.IntermediateSize,
            config.HeadCount,
            config.KeyValueHeadCount,
            config.VocabularySize,
            config.MaxPositions,
            config.TiedEmbeddings,
            counts
                .GroupBy(item => item.DType)
                .OrderBy(type => type.Key, StringComparer.Ordinal)
                .ToDictionary(type => type.Key, type => type.Sum(item => item.Count)),
            tokenizer is null ? null : TokenizerSummary.Of(tokenizer),
            hash.Sha256,
            hash.Files,
            [.. checkpoint.Entries.Select(entry => new TensorDescription(entry.Name, entry.DType, entry.Shape))],
            [.. checkpoint.Notes, .. tokenizer?.Notes ?? []]
        )
        {
            Source = source,
        };
    }

    private static long CountOf(long[] shape) => shape.Aggregate(1L, (product, size) => product * size);

    private static string PartOf(string name, ArchitectureDescription names)
    {
        bool Has(params ReadOnlySpan<string> parts)
        {
            foreach (var part in parts)
                if (name.Contains(part, StringComparison.Ordinal)) return true;
            return false;
        }

        if (!name.StartsWith(names.Base, StringComparison.Ordinal) && !WeightNames.IsHead(name)) return "other";
        if (WeightNames.IsEmbedding(name)) return "embedding";
        if (WeightNames.IsHead(name)) return "output head";
        if (Has("norm", "ln_1.", "ln_2.", "ln_f.")) return "norms";
        if (Has("inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias")) return "other";
        return Has(".self_attn.", ".attn.", ".attention.") ? "attention" : Has(".mlp.") ? "mlp" : "other";
    }
}

/// <summary>One stored tensor.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="DType">Its stored number type, such as <c>BF16</c>.</param>
/// <param name="Shape">Its dimensions.</param>
public sealed record TensorDescription(string Name, string DType, IReadOnlyList<long> Shape);

/// <summary>The main facts about a tokenizer.</summary>
/// <param name="VocabularySize">Number of ids.</param>
/// <param name="Bos">The beginning-of-text token; null when none is named.</param>
/// <param name="Eos">The end-of-text token; null when none is named.</param>
/// <param name="PadId">The padding id; null when there is none.</param>
/// <param name="AddsBos">Whether the beginning-of-text token is put before every encoded text.</param>
/// <param name="HasChatTemplate">Whether there is a chat template.</param>
public sealed record TokenizerSummary(
    int VocabularySize,
    SpecialToken? Bos,
    SpecialToken? Eos,
    int? PadId,
    bool AddsBos,
    bool HasChatTemplate
)
{
    internal static TokenizerSummary Of(HfTokenizer tokenizer) =>
        new(
            tokenizer.VocabularySize,
            Special(tokenizer.BosToken, tokenizer.BosId),
            Special(tokenizer.EosToken, tokenizer.EosId),
            tokenizer.PadId,
            tokenizer.BosId is { } bos && tokenizer.Encode("a") is [var first, ..] && first == bos,
            tokenizer.ChatTemplate is not null
        );

    private static SpecialToken? Special(string? token, int? id) => token is null ? null : new SpecialToken(token, id);
}

/// <summary>A special token.</summary>
/// <param name="Token">Its text.</param>
/// <param name="Id">Its id; null when the vocabulary does not contain it.</param>
public sealed record SpecialToken(string Token, int? Id);
