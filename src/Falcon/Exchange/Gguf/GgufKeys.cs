using Falcon.Checkpoints.Gguf;
using Falcon.Runtime;

namespace Falcon.Exchange.Gguf;

/// <summary>The keys of an architecture that are understood here. Another one may change what the model computes.</summary>
internal static class GgufKeys
{
    private static readonly string[] Common =
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
        "rope.scaling.original_context_length",
    ];

    private static readonly Dictionary<string, string[]> Own = new()
    {
        ["gemma2"] = ["attn_logit_softcapping", "final_logit_softcapping", "attention.sliding_window"],
        ["gemma3"] = ["final_logit_softcapping", "attention.sliding_window", "rope.freq_base_swa"],
        ["phi3"] = ["attention.sliding_window", "rope.scaling.attn_factor"],
        ["gpt2"] = ["attention.layer_norm_epsilon"],
        ["gptneox"] = ["attention.layer_norm_epsilon", "use_parallel_residual"],
    };

    // What llama.cpp's runner does not read for these architectures.
    private static readonly string[] WithoutEffect = ["rope.scaling.finetuned"];

    /// <summary>Refuses a file with a key of its architecture that is not understood.</summary>
    /// <exception cref="UnsupportedCheckpointException">There is one; the message names it.</exception>
    public static void RefuseUnknown(GgufFile file, string architecture)
    {
        string[] known = [.. Common, .. WithoutEffect, .. Own.GetValueOrDefault(architecture, [])];
        var unknown = file.Metadata.Keys.FirstOrDefault(key =>
            key.StartsWith(architecture + ".", StringComparison.Ordinal) && !known.Contains(key[(architecture.Length + 1)..])
        );
        if (unknown is not null)
            throw new UnsupportedCheckpointException(
                $"{file.Path}: the key {Shown(unknown)} of the architecture is not known here, so the model may compute otherwise. Take "
                    + "another file of the model, or convert it from its Hugging Face directory."
            );
    }

    private static string Shown(string text) => string.Concat(text.Take(60).Select(one => char.IsControl(one) ? '?' : one));
}
