using System.Text;
using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// Document-level WikiText: pages of the raw file, and the detokeniser that the lm-evaluation-harness applies before scoring.
/// </summary>
public static partial class WikiTextDetokenizer
{
    private static readonly (string Old, string New)[] Separators =
    [
        (" @-@ ", "-"),
        (" @,@ ", ","),
        (" @.@ ", "."),
        (" : ", ": "),
        (" ; ", "; "),
        (" . ", ". "),
        (" ! ", "! "),
        (" ? ", "? "),
        (" , ", ", "),
    ];

    private static readonly (char Open, char Close)[] Pairs = [('(', ')'), ('[', ']'), ('{', '}'), ('"', '"'), ('\'', '\'')];

    private static readonly (string Old, string New)[] Leftovers =
        [("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" ° ", "°"), (" \n", "\n"), ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s")];

    /// <summary>
    /// Splits the raw file into pages: a line such as <c> = Title = </c> opens one; blank pages are dropped except the last.
    /// </summary>
    public static string[] Pages(string file)
    {
        var pages = new List<string>();
        var lines = new List<string>();
        foreach (var line in file.Split('\n'))
        {
            if (OpensPage(line) && lines.Count > 0)
            {
                AddUnlessBlank();
                lines.Clear();
            }
            lines.Add(line);
        }
        pages.Add(string.Join('\n', lines));
        return [.. pages];

        void AddUnlessBlank()
        {
            var page = string.Join('\n', lines);
            if (!PythonText.Strip(page).IsEmpty) pages.Add(page);
        }
    }

    /// <summary>The page as ordinary text. Replacements run once from left to right, in the published order, slips included.</summary>
    public static string Detokenize(string page)
    {
        var text = page.Replace("s '", "s'", StringComparison.Ordinal);
        text = SlashedDigit().Replace(text, "/'[0-9]/"); // the literal text: a slip of the original
        foreach (var (old, replacement) in Separators) text = text.Replace(old, replacement, StringComparison.Ordinal);
        foreach (var (open, close) in Pairs) text = StripInside(text, open, close);
        foreach (var (old, replacement) in Leftovers) text = text.Replace(old, replacement, StringComparison.Ordinal);
        return text;
    }

    private static bool OpensPage(string line)
    {
        var title = PythonText.Strip(
            line.Replace("= = =", "===", StringComparison.Ordinal).Replace("= =", "==", StringComparison.Ordinal)
        );
        return title.StartsWith("= ", StringComparison.Ordinal) && title.EndsWith(" =", StringComparison.Ordinal);
    }

    /// <summary>Takes white space off at both ends between each opening sign and the next closing one.</summary>
    private static string StripInside(string text, char open, char close)
    {
        var result = new StringBuilder(text.Length);
        var position = 0;
        while (text.IndexOf(open, position) is >= 0 and var start && text.IndexOf(close, start + 1) is >= 0 and var end)
        {
            result
                .Append(text, position, start + 1 - position)
                .Append(PythonText.Strip(text.AsSpan(start + 1, end - start - 1)))
                .Append(close);
            position = end + 1;
        }
        return result.Append(text, position, text.Length - position).ToString();
    }

    [GeneratedRegex("/' [0-9]/")]
    private static partial Regex SlashedDigit();
}
