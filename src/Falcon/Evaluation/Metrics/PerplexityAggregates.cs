using System.Text;
using Falcon.Runtime;

namespace Falcon.Evaluation.Metrics;

/// <summary>Log-likelihood of one page with the lengths that perplexities are taken over.</summary>
/// <param name="LogLikelihood">Sum of the natural log-probabilities of all tokens.</param>
/// <param name="Words">
/// Number of pieces when the page is split at runs of white space, before detokenising; empty pieces at the ends count.
/// </param>
/// <param name="Bytes">UTF-8 bytes of the page before detokenising.</param>
public readonly record struct PageLikelihood(double LogLikelihood, int Words, int Bytes)
{
    /// <summary>Counts words and bytes of a page as it stands in the file.</summary>
    public static PageLikelihood Of(string page, double logLikelihood) =>
        new(logLikelihood, CountWords(page), Encoding.UTF8.GetByteCount(page));

    /// <summary>Number of pieces when the text is split at runs of white space.</summary>
    public static int CountWords(string page)
    {
        var pieces = 1;
        for (var i = 0; i < page.Length; i++)
            if (PythonText.IsWhiteSpace(page[i]) && (i == 0 || !PythonText.IsWhiteSpace(page[i - 1]))) pieces++;
        return pieces;
    }
}

/// <summary>Perplexities over pages as the lm-evaluation-harness computes them: sums first, then one quotient.</summary>
/// <param name="WordPerplexity">exp(-sum ll / sum words).</param>
/// <param name="BytePerplexity">exp(-sum ll / sum bytes).</param>
/// <param name="BitsPerByte">-(sum ll / sum bytes) / ln 2.</param>
public readonly record struct PerplexityAggregates(double WordPerplexity, double BytePerplexity, double BitsPerByte)
{
    /// <summary>Aggregates over all pages.</summary>
    /// <exception cref="ArgumentException">The pages have no byte at all.</exception>
    public static PerplexityAggregates Of(IReadOnlyCollection<PageLikelihood> pages)
    {
        var logLikelihood = pages.Sum(page => page.LogLikelihood);
        var words = pages.Sum(page => (long)page.Words);
        var bytes = pages.Sum(page => (long)page.Bytes);
        if (bytes == 0)
            throw new ArgumentException("there is no text to take a perplexity of", nameof(pages));
        return new PerplexityAggregates(
            Math.Exp(-logLikelihood / words),
            Math.Exp(-logLikelihood / bytes),
            -logLikelihood / bytes / Math.Log(2)
        );
    }
}
