using Falcon.Evaluation.Metrics;
using Falcon.Evaluation.Suites;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>Perplexities of plain texts, all from the same log-likelihoods. Lower is better.</summary>
/// <param name="Word">exp(-sum log p / words).</param>
/// <param name="Byte">exp(-sum log p / UTF-8 bytes).</param>
/// <param name="BitsPerByte">-sum log p / (bytes ln 2).</param>
/// <param name="Token">exp(-sum log p / tokens).</param>
public sealed record TextPerplexityValues(MetricValue Word, MetricValue Byte, MetricValue BitsPerByte, MetricValue Token);

/// <summary>Perplexity of texts by rolling windows, as the lm-evaluation-harness computes it (<c>loglikelihood_rolling</c>).</summary>
public static class TextPerplexity
{
    /// <summary>
    /// Measures texts: every token is predicted once, the first of a text from the beginning-of-sequence token (else end-of-sequence).
    /// Bootstrap intervals over texts.
    /// </summary>
    /// <param name="model">The whole model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="texts">The texts; at least one, none without a token.</param>
    /// <param name="maxLength">
    /// Longest window in tokens; null for the model's max_position_embeddings, which is also the upper limit.
    /// </param>
    /// <param name="seed">Seed of the bootstrap.</param>
    /// <param name="log">Where progress goes; null for silence.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <exception cref="ArgumentException">
    /// No text, a text without a token, or a tokenizer that names neither a beginning nor an end of sequence.
    /// </exception>
    public static TextPerplexityValues Measure(
        CausalLM model,
        HfTokenizer tokenizer,
        IReadOnlyList<string> texts,
        int? maxLength = null,
        long seed = 0,
        IRunLog? log = null,
        CancellationToken cancellation = default
    ) => Measure(model, tokenizer, [.. texts.Select(text => (text, text))], maxLength, seed, log, cancellation);

    /// <summary>
    /// The same where words and bytes are counted on another form of the text: WikiText is scored detokenised and counted as it stands.
    /// </summary>
    internal static TextPerplexityValues Measure(
        CausalLM model,
        HfTokenizer tokenizer,
        IReadOnlyList<(string Scored, string Counted)> texts,
        int? maxLength,
        long seed,
        IRunLog? log,
        CancellationToken cancellation
    ) => Measure(new LoadedModel(model, tokenizer), texts, maxLength, seed, log ?? SilentRunLog.Instance, cancellation);

    internal static TextPerplexityValues Measure(
        LoadedModel loaded,
        IReadOnlyList<(string Scored, string Counted)> texts,
        int? maxLength,
        long seed,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        var (model, tokenizer) = loaded;
        if (texts.Count == 0)
            throw new ArgumentException("a perplexity needs at least one text", nameof(texts));
        var prefix = tokenizer.BosId
            ?? tokenizer.EosId
            ?? throw new ArgumentException(
                "the tokenizer names neither a beginning nor an end of sequence to predict the first token from",
                nameof(loaded)
            );
        var tokens = texts.Select(text => tokenizer.Encode(text.Scored, addSpecialTokens: false)).ToList();
        if (tokens.FindIndex(ids => ids.Length == 0) is >= 0 and var empty)
            throw new ArgumentException($"text {empty + 1} has no token", nameof(texts));
        var limit = Math.Min(maxLength ?? int.MaxValue, model.Config.MaxPositions);
        var logLikelihoods = LogLikelihoods(loaded, [.. tokens.Select(ids => (prefix, ids))], limit, log, cancellation);
        PageLikelihood[] pages = [.. texts.Select((text, i) => PageLikelihood.Of(text.Counted, logLikelihoods[i]))];

        MetricValue Of(Func<int[], double> value, string definition) => Over(pages.Length, seed, value, definition);
        PerplexityAggregates Aggregate(int[] drawn) => PerplexityAggregates.Of([.. drawn.Select(i => pages[i])]);
        var how = $"over {pages.Length} texts in windows of up to {limit} tokens";
        return new TextPerplexityValues(
            Of(drawn => Aggregate(drawn).WordPerplexity, $"exp(-sum log p / words) {how}"),
            Of(drawn => Aggregate(drawn).BytePerplexity, $"exp(-sum log p / UTF-8 bytes) {how}"),
            Of(drawn => Aggregate(drawn).BitsPerByte, $"-sum log p / (UTF-8 bytes x ln 2) {how}"),
            Of(
                drawn => Math.Exp(-drawn.Sum(i => logLikelihoods[i]) / drawn.Sum(i => (long)tokens[i].Length)),
                $"exp(-sum log p / tokens) {how}"
            )
        );
    }

    /// <summary>
    /// Perplexity per token of rows of token ids, for which no tokenizer is needed: the first token of a row is given, every other one is
    /// predicted once.
    /// </summary>
    /// <exception cref="ArgumentException">No row, or a row of a single token.</exception>
    internal static MetricValue MeasureTokens(
        LoadedModel loaded,
        IReadOnlyList<int[]> rows,
        int? maxLength,
        long seed,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        if (rows.Count == 0 || rows.Any(row => row.Length < 2))
            throw new ArgumentException("a perplexity needs rows of at least two tokens", nameof(rows));
        var limit = Math.Min(maxLength ?? int.MaxValue, loaded.Model.Config.MaxPositions);
        var logLikelihoods = LogLikelihoods(loaded, [.. rows.Select(row => (row[0], row[1..]))], limit, log, cancellation);
        return Over(
            rows.Count,
            seed,
            drawn => Math.Exp(-drawn.Sum(i => logLikelihoods[i]) / drawn.Sum(i => rows[i].Length - 1L)),
            $"exp(-sum log p / tokens) over {rows.Count} rows of token ids in windows of up to {limit} tokens; the first token of a row is "
                + "given"
        );
    }

    private static double[] LogLikelihoods(
        LoadedModel loaded,
        IReadOnlyList<(int Prefix, int[] Tokens)> texts,
        int limit,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        List<ScoredSequence> windows = [];
        var textOfWindow = new List<int>();
        for (var text = 0; text < texts.Count; text++)
            foreach (var window in RollingWindows.Of(texts[text].Tokens, texts[text].Prefix, limit))
            {
                windows.Add(new ScoredSequence([.. window.Input, window.Targets[^1]], window.Input.Length + 1 - window.Targets.Length));
                textOfWindow.Add(text);
            }

        var scores = loaded.Score(windows, "perplexity", log, cancellation);
        var logLikelihoods = new double[texts.Count];
        for (var window = 0; window < windows.Count; window++)
            logLikelihoods[textOfWindow[window]] += scores[window].LogProbabilities.Sum();
        return logLikelihoods;
    }

    private static MetricValue Over(int count, long seed, Func<int[], double> value, string definition)
    {
        var interval = Bootstrap.Of(count, seed, value);
        return new MetricValue(
            value([.. Enumerable.Range(0, count)]),
            interval?.Low,
            interval?.High,
            Metric.Lower,
            null,
            count,
            definition
        );
    }
}
