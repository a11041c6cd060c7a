using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// Scores of SentencePiece pieces from the merges of a tokenizer.json. llama.cpp merges the adjacent pair whose joint piece has the highest
/// score, whatever two pieces make it; so the merges must be all that are possible, and in the order of the pieces that they make.
/// </summary>
internal static class PieceScores
{
    private const float OfSpecialTokens = -1000; // as the converter writes it

    /// <summary>A score for each token: pieces from 0 downwards in the order of their merges.</summary>
    /// <param name="tokens">All tokens.</param>
    /// <param name="types">Their types.</param>
    /// <param name="merges">The merges, the first to be done first.</param>
    /// <param name="refused">Makes the error of a reason.</param>
    /// <exception cref="UnsupportedCheckpointException">No scores give these merges.</exception>
    public static float[] Of(
        string[] tokens,
        SentencePieceType[] types,
        IEnumerable<(string Left, string Right)> merges,
        Func<string, UnsupportedCheckpointException> refused
    )
    {
        var pieces = tokens.Where((_, id) => types[id] == SentencePieceType.Normal).ToHashSet();
        Dictionary<string, int> ranks = [];
        HashSet<(string, string)> done = [];
        var last = "";
        foreach (var (left, right) in merges)
        {
            done.Add((left, right));
            var whole = left + right;
            if (!pieces.Contains(whole))
                continue; // an added token, found before pieces are merged
            if (whole != last && !ranks.TryAdd(whole, ranks.Count))
                throw refused($"the merges that make '{whole}' have others between them, so that no score gives their order");
            last = whole;
        }

        foreach (var text in pieces)
            for (var at = 1; at < text.Length; at++)
                if (pieces.Contains(text[..at]) && pieces.Contains(text[at..]) && !done.Contains((text[..at], text[at..])))
                    throw refused(
                        $"'{text[..at]}' and '{text[at..]}' are not merged although '{text}' is a token; llama.cpp would merge them"
                    );
        var scores = new float[tokens.Length];
        var next = ranks.Count;
        for (var id = 0; id < scores.Length; id++)
            scores[id] = types[id] switch
            {
                SentencePieceType.Byte => 0,
                SentencePieceType.Normal => -(ranks.TryGetValue(tokens[id], out var rank) ? rank : next++),
                _ => OfSpecialTokens,
            };
        return scores;
    }
}
