using Falcon.Models.Families;
using Falcon.Tokenization;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// The tokens that end an answer: the tokenizer's end token, the one that the chat template writes behind an answer, which may be another,
/// and those of config.json and generation_config.json.
/// </summary>
/// <param name="End">The tokenizer's end token, else the first that the configuration names; null for none.</param>
/// <param name="All">All of them, the end token first, then the turn's.</param>
internal sealed record StopTokens(int? End, IReadOnlyList<int> All)
{
    /// <summary>Those of a model.</summary>
    public static StopTokens Of(ModelConfig config, HfTokenizer tokenizer)
    {
        int? end = tokenizer.EosId ?? (config.EosTokenIds.Count > 0 ? config.EosTokenIds[0] : null);
        return new StopTokens(end, [.. new[] { end, tokenizer.TurnEndId }.OfType<int>().Concat(config.EosTokenIds).Distinct()]);
    }
}
