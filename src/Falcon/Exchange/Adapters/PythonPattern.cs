using System.Text;
using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Exchange.Adapters;

/// <summary>
/// A regular expression of Python's <c>re</c>, as PEFT applies it to module names. What Python and .NET write otherwise is rewritten; what
/// only one of them knows, or the two read differently, is refused.
/// </summary>
internal sealed class PythonPattern
{
    private readonly Regex _regex;
    private readonly string _where;

    private PythonPattern(Regex regex, string where) => (_regex, _where) = (regex, where);

    /// <summary>A pattern that must cover the whole name (<c>re.fullmatch</c>).</summary>
    /// <param name="pattern">The expression.</param>
    /// <param name="where">File and key, for messages.</param>
    /// <exception cref="UnsupportedCheckpointException">It cannot be read as Python reads it.</exception>
    public static PythonPattern Whole(string pattern, string where) => Compile(@"\A(?:", pattern, @")\z", where);

    /// <summary>
    /// A pattern that must cover the end of the name from its start or from a dot on, as rank_pattern and alpha_pattern do.
    /// </summary>
    /// <inheritdoc cref="Whole"/>
    public static PythonPattern Ending(string pattern, string where) => Compile(@"\A(?:.*\.)?(?:", pattern, @")$", where);

    /// <summary>
    /// A pattern that must cover a module of the name's path or all that lies above or below it, as modules_to_save does.
    /// </summary>
    /// <inheritdoc cref="Whole"/>
    public static PythonPattern Part(string pattern, string where) => Compile(@"\A(?:|.*\.)", pattern, @"(?:$|\..*)", where);

    /// <summary>Whether a name fits.</summary>
    /// <exception cref="UnsupportedCheckpointException">The expression takes too long, as nested repetitions do.</exception>
    public bool Fits(string name)
    {
        try
        {
            return _regex.IsMatch(name);
        }
        catch (RegexMatchTimeoutException error)
        {
            throw new UnsupportedCheckpointException(
                $"{_where}: the regular expression takes too long on \"{name}\". Write it without nested repetitions.",
                error
            );
        }
    }

    private static PythonPattern Compile(string before, string pattern, string after, string where)
    {
        try
        {
            return new(new Regex(before + Translated(pattern) + after, RegexOptions.CultureInvariant, TimeSpan.FromSeconds(10)), where);
        }
        catch (ArgumentException error)
        {
            throw new UnsupportedCheckpointException(
                $"{where}: the regular expression \"{pattern}\" cannot be read as Python reads it ({error.Message.TrimEnd('.')}). "
                    + "Write it with literals, classes, groups and quantifiers only.",
                error
            );
        }
    }

    private static string Translated(string pattern)
    {
        var text = new StringBuilder();
        for (var i = 0; i < pattern.Length; i++)
        {
            var rest = pattern.AsSpan(i);
            if (rest[0] == '\\')
            {
                var next = rest.Length > 1 ? rest[1] : throw new ArgumentException("a backslash at the end");
                if (char.IsAsciiDigit(next))
                    throw new ArgumentException($@"\{next}: references by number are not read");
                if (char.IsAsciiLetter(next) && !"dDwWsSbBAZnrtfvxu".Contains(next))
                    throw new ArgumentException($@"\{next} means something else in the two");
                _ = next == 'Z' ? text.Append(@"\z") : text.Append('\\').Append(next);
                i++;
            }
            else if (rest[0] == '[')
            {
                var length = ClassLength(rest);
                var inside = rest[..length].ToString();
                if (inside.Contains("-[", StringComparison.Ordinal))
                    throw new ArgumentException($"{inside} means something else in the two");
                // Python takes a closing bracket in the first place as a character, as .NET does; an opening one is one anywhere.
                text.Append(inside);
                i += length - 1;
            }
            else if (rest.StartsWith("(?"))
            {
                var length = GroupStart(rest, out var start);
                text.Append(start);
                i += length - 1;
            }
            else if (rest.StartsWith("{,"))
            {
                text.Append("{0,"); // Python's shorter form of it
                i++;
            }
            else
            {
                text.Append(rest[0]);
            }
        }

        return text.ToString();
    }

    private static int ClassLength(ReadOnlySpan<char> text)
    {
        var i = text.Length > 1 && text[1] == '^' ? 2 : 1;
        if (i < text.Length && text[i] == ']')
            i++;
        while (i < text.Length && text[i] != ']')
        {
            if (text[i] == '\\' && i + 1 < text.Length && "pPcek".Contains(text[i + 1]))
                throw new ArgumentException($@"\{text[i + 1]} means something else in the two");
            i += text[i] == '\\' ? 2 : 1;
        }

        return i < text.Length ? i + 1 : throw new ArgumentException("a class without its end");
    }

    private static int GroupStart(ReadOnlySpan<char> text, out string start)
    {
        foreach (var same in new[] { "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?i)" })
            if (text.StartsWith(same))
            {
                start = same;
                return same.Length;
            }

        if (!text.StartsWith("(?P<"))
            throw new ArgumentException($"{text[..Math.Min(4, text.Length)]} is not read");
        start = "(?<";
        return 4;
    }
}
