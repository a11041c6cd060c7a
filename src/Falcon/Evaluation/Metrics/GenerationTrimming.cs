using Falcon.Runtime;

namespace Falcon.Evaluation.Metrics;

/// <summary>Cuts generated text before it is compared with the true answer.</summary>
public static class GenerationTrimming
{
    /// <summary>The words at which MUSE's KnowMem cuts, in order.</summary>
    public static IReadOnlyList<string> MuseStopWords { get; } = ["\n\n", "\nQuestion", "Question:"];

    /// <summary>
    /// OpenUnlearning: cut at the end-of-sequence text, then at each stop word in turn, then strip white space at both ends.
    /// </summary>
    public static string OpenUnlearning(string generated, string endOfSequenceText, IEnumerable<string> stopWords) =>
        PythonText.Strip(CutAtEach(CutAt(generated, endOfSequenceText), stopWords).AsSpan()).ToString();

    /// <summary>MUSE: cut at each word in turn; white space stays.</summary>
    public static string CutAtEach(string generated, IEnumerable<string> stopWords) => stopWords.Aggregate(generated, CutAt);

    private static string CutAt(string text, string word)
    {
        var at = word.Length == 0 ? -1 : text.IndexOf(word, StringComparison.Ordinal);
        return at < 0 ? text : text[..at];
    }
}
