using System.Text;

namespace Falcon.Tests.Documentation;

/// <summary>A command that a page of the documentation shows in a block for a shell.</summary>
/// <param name="Place">Page and line.</param>
/// <param name="Words">The words as a shell would pass them on, without leading variables.</param>
/// <param name="Needs">What a clone does not hold and the command needs: network, model, or null.</param>
internal sealed record ShownCommand(string Place, IReadOnlyList<string> Words, string? Needs)
{
    private const string NeedsMark = "<!-- needs: ";

    private static readonly string[] ShellBlocks = ["```", "```sh", "```bash"];
    private static readonly string[] Programs = ["./falcon", "falcon", "dotnet", ".ci/run"];

    /// <summary>Whether it runs Falcon itself.</summary>
    public bool IsFalcon => Words[0] is "./falcon" or "falcon";

    /// <summary>The commands of README, CONTRIBUTING and docs, pages in this order.</summary>
    public static IReadOnlyList<ShownCommand> All() =>
        [.. Page.All().Where(page => !page.IsExperiment).SelectMany(page => Of(page.Path))];

    private static IEnumerable<ShownCommand> Of(string page)
    {
        string? block = null;
        string? needs = null;
        string? end = null;
        var line = 0;
        var text = "";
        foreach (var raw in File.ReadLines(page))
        {
            line++;
            if (raw.StartsWith("```", StringComparison.Ordinal))
            {
                if (block is not null) needs = null;
                block = block is null ? raw.TrimEnd() : null;
                continue;
            }

            if (block is null && raw.StartsWith(NeedsMark, StringComparison.Ordinal))
                needs = raw[NeedsMark.Length..].Replace("-->", "", StringComparison.Ordinal).Trim();
            if (!ShellBlocks.Contains(block)) continue;
            // A file that the page writes: cat > NAME <<'EOF' ... EOF
            if (end is not null)
            {
                if (raw == end) end = null;
                continue;
            }

            if (raw.Contains("<<'", StringComparison.Ordinal))
            {
                end = raw.Split('\'')[1];
                continue;
            }

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
                yield return new ShownCommand($"{Path.GetFileName(page)}:{line}", words, needs);
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
