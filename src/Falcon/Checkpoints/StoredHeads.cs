using System.Globalization;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;

namespace Falcon.Checkpoints;

/// <summary>
/// Output heads that the files hold beside the matrix that the model uses: a copy of a tied embedding, or the same head under two names.
/// They must be copies, bit by bit, because another reader may use them.
/// </summary>
internal static class StoredHeads
{
    private const int Chunk = 1 << 20;

    /// <summary>The names of stored heads that the configuration does not ask for; empty for most checkpoints.</summary>
    public static IReadOnlyList<string> CopiesIn(WeightFiles files, ModelConfig config) =>
        [.. files.Names.Where(name => WeightNames.IsHead(name) && name != Used(config) && config.Architecture.Allows(name))];

    /// <summary>Refuses a stored head that differs from the matrix that the model uses.</summary>
    /// <exception cref="UnsupportedCheckpointException">It differs; the message says how to use the one or the other.</exception>
    public static void RequireCopies(WeightFiles files, ModelConfig config)
    {
        if (!files.TryLocate(Used(config), out var used))
            return; // reported as missing
        foreach (var name in CopiesIn(files, config))
        {
            var copy = files.Locate(name);
            if (Difference(copy, used) is not { } difference)
                continue;
            throw new UnsupportedCheckpointException(
                config.TiedEmbeddings
                    ? $"{copy.File.Path}: \"{name}\" is not the embedding \"{Used(config)}\" ({difference}), but config.json ties the "
                        + $"output head to the embedding ({Said(config)}). If this head belongs to the model, set "
                        + "\"tie_word_embeddings\": false in config.json; if it is left over, remove the tensor from the file."
                    : $"{copy.File.Path}: \"{name}\" is not the output head \"{Used(config)}\" ({difference}). "
                        + "Remove the one that does not belong to the model from the file."
            );
        }
    }

    /// <summary>Why the head counts as tied or not, for messages.</summary>
    public static string Said(ModelConfig config)
    {
        var value = config.TiedEmbeddings ? "true" : "false";
        return config.DeclaresTiedEmbeddings
            ? $"\"tie_word_embeddings\" is {value}"
            : $"\"tie_word_embeddings\" is not there, which for a {config.ModelType} model means {value}";
    }

    /// <summary>The tensor that gives the logits.</summary>
    public static string Used(ModelConfig config) =>
        config.TiedEmbeddings ? config.Architecture.EmbeddingWeight : config.Architecture.HeadWeight;

    private static string? Difference((SafetensorsFile File, SafetensorsEntry Entry) a, (SafetensorsFile File, SafetensorsEntry Entry) b)
    {
        if (a.Entry.DType != b.Entry.DType || !a.Entry.Shape.SequenceEqual(b.Entry.Shape))
            return $"{Kind(a.Entry)} against {Kind(b.Entry)}";
        for (var at = 0L; at < a.Entry.ByteLength; at += Chunk)
        {
            var length = (int)Math.Min(Chunk, a.Entry.ByteLength - at);
            var left = a.File.Bytes(a.Entry, at, length);
            var right = b.File.Bytes(b.Entry, at, length);
            if (left.SequenceEqual(right))
                continue;
            var rowBytes = Math.Max(1, a.Entry.ByteLength / Math.Max(1, a.Entry.Shape.FirstOrDefault(1)));
            return string.Create(
                CultureInfo.InvariantCulture,
                $"they differ from row {(at + left.CommonPrefixLength(right)) / rowBytes} on"
            );
        }

        return null;
    }

    private static string Kind(SafetensorsEntry entry) => $"{entry.DType} [{string.Join(", ", entry.Shape)}]";
}
