using System.Text;

namespace Falcon.Tests.Documentation;

/// <summary>A command that a page of the documentation shows in a block for a shell.</summary>
/// <param name="Place">Page and line.</param>
/// <param name="Words">The words as a shell would pass them on, without leading variables.</param>
internal sealed record ShownCommand(string Place, IReadOnlyList<string> Words)
{
    private static readonly string[] ShellBlocks = ["```", "```sh", "```bash"];
    private static readonly string[] Programs = ["./falcon", "falcon", "dotnet", ".ci/run"];

    /// <summary>Whether it runs Falcon itself.</summary>
    public bool IsFalcon => Words[0] is "./falcon" or "falcon";

    /// <summary>The commands of README, CONTRIBUTING and docs, pages in this order.</summary>
    public static IReadOnlyList<ShownCommand> All()
    {
        string[] pages =
        [
            Path.Combine(Fixtures.RepositoryRoot, "README.md"),
            Path.Combine(Fixtures.RepositoryRoot, "CONTRIBUTING.md"),
            .. Directory.EnumerateFiles(Path.Combine(Fixtures.RepositoryRoot, "docs"), "*.md").Order(StringComparer.Ordinal),
        ];
        return [.. pages.SelectMany(Of)];
    }

    private static IEnumerable<ShownCommand> Of(string page)
    {
        string? block = null;
        var line = 0;
        var text = "";
        foreach (var raw in File.ReadLines(page))
        {
            line++;
            if (raw.StartsWith("```", StringComparison.Ordinal))
            {
                block = block is null ? raw.TrimEnd() : null;
                continue;
            }

            if (!ShellBlocks.Contains(block)) continue;
            text += raw.TrimEnd();
            if (text.EndsWith('\\'))
            {
                text = text[..^1];
                continue;
            }

            var words = Split(text);
            text = "";
            while (words.Count > 0 && words[0].Contains('=', StringComparison.Ordinal) && !words[0].StartsWith('-'))
                words.RemoveAt(0);
            if (
                words.Count > 0
                && (Programs.Contains(words[0]) || words[0].StartsWith("scripts/", StringComparison.Ordinal))
                && !words.Contains("...")
            )
                yield return new ShownCommand($"{Path.GetFileName(page)}:{line}", words);
        }
    }

    /// <summary>Splits a line as a shell does: quotes of both kinds, and comments after white space.</summary>
    public static List<string> Split(string line)
    {
        List<string> words = [];
        StringBuilder? word = null;
        char? quote = null;
        foreach (var character in line)
        {
            if (quote is null && character == '#' && word is null) break;
            if (quote is not null)
            {
                if (character == quote) quote = null;
                else word!.Append(character);
            }
            else if (character is '"' or '\'') (quote, word) = (character, word ?? new StringBuilder());
            else if (!char.IsWhiteSpace(character)) (word ??= new StringBuilder()).Append(character);
            else if (word is not null)
            {
                words.Add(word.ToString());
                word = null;
            }
        }

        if (word is not null) words.Add(word.ToString());
        return words;
    }
}
