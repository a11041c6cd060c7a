using System.Text;
using Falcon.Runtime;

namespace Falcon.ChatTemplates;

/// <summary>
/// Cuts a template into text, tags and the tokens inside them, with the white space rules of Jinja's trim_blocks and lstrip_blocks.
/// </summary>
internal sealed class ChatTemplateLexer
{
    // Longer ones first, since the first that matches is taken.
    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",",
    ];

    private readonly string _source;
    private readonly List<TemplateToken> _tokens = [];
    private int _position;
    private int _line = 1;
    private bool _atLineStart = true;

    private ChatTemplateLexer(string source) => _source = source;

    public static List<TemplateToken> Read(string source)
    {
        var lines = source.ReplaceLineEndings("\n");
        var lexer = new ChatTemplateLexer(lines.EndsWith('\n') ? lines[..^1] : lines);
        lexer.ReadAll();
        return lexer._tokens;
    }

    private void ReadAll()
    {
        while (_position < _source.Length)
        {
            var begin = NextBegin(_position);
            var text = _source[_position..begin];
            if (begin == _source.Length)
            {
                AddText(text);
                _position = begin;
                break;
            }
            var kind = _source[begin + 1];
            var sign = begin + 2 < _source.Length ? _source[begin + 2] : ' ';
            AddText(Strip(text, kind, sign));
            _line += text.Count(character => character == '\n');
            _position = begin + (sign is '-' or '+' ? 3 : 2);
            if (kind == '#') SkipComment();
            else if (kind == '%' && TrySkipTag("raw")) ReadRaw();
            else ReadInside(kind == '{');
        }
        _tokens.Add(new(TemplateTokenKind.End, "", _line));
    }

    private int NextBegin(int from)
    {
        for (var i = _source.IndexOf('{', from); i >= 0 && i + 1 < _source.Length; i = _source.IndexOf('{', i + 1))
            if (_source[i + 1] is '{' or '%' or '#') return i;
        return _source.Length;
    }

    // A minus removes all white space before the tag. Otherwise tags and comments, but not prints, remove the blanks that begin their line.
    private string Strip(string text, char kind, char sign)
    {
        if (sign == '-') return text[..PythonText.TrimmedLength(text)];
        if (sign == '+' || kind == '{') return text;
        var lineStart = text.LastIndexOf('\n') + 1;
        return (lineStart > 0 || _atLineStart) && PythonText.IsBlank(text.AsSpan(lineStart)) ? text[..lineStart] : text;
    }

    private void AddText(string text)
    {
        if (text.Length > 0) _tokens.Add(new(TemplateTokenKind.Text, text, _line));
    }

    private void SkipComment()
    {
        var end = _source.IndexOf("#}", _position, StringComparison.Ordinal);
        if (end < 0) throw ChatTemplate.Unsupported(_line, "a comment does not end");
        var sign = end > _position ? _source[end - 1] : ' ';
        Advance(end + 2);
        AfterTag(sign);
    }

    private void ReadRaw()
    {
        var (start, firstLine) = (_position, _line);
        for (var begin = NextTag(start); begin >= 0; begin = NextTag(begin + 2))
        {
            var sign = begin + 2 < _source.Length ? _source[begin + 2] : ' ';
            Advance(begin + (sign is '-' or '+' ? 3 : 2));
            if (!TrySkipTag("endraw")) continue;
            var text = Strip(_source[start..begin], '%', sign);
            if (text.Length > 0) _tokens.Add(new(TemplateTokenKind.Text, text, firstLine));
            return;
        }
        throw ChatTemplate.Unsupported(firstLine, "a raw block does not end");

        int NextTag(int from) => _source.IndexOf("{%", from, StringComparison.Ordinal);
    }

    /// <summary>Skips <c>name %}</c> if exactly that comes next.</summary>
    private bool TrySkipTag(string name)
    {
        var i = _position;
        while (i < _source.Length && PythonText.IsWhiteSpace(_source[i])) i++;
        if (string.CompareOrdinal(_source, i, name, 0, name.Length) != 0) return false;
        i += name.Length;
        while (i < _source.Length && PythonText.IsWhiteSpace(_source[i])) i++;
        var sign = i < _source.Length ? _source[i] : ' ';
        if (sign is '-' or '+') i++;
        if (string.CompareOrdinal(_source, i, "%}", 0, 2) != 0) return false;
        Advance(i + 2);
        AfterTag(name == "raw" && sign != '-' ? '+' : sign);   // the line end after raw stays
        return true;
    }

    private void ReadInside(bool isPrint)
    {
        var firstLine = _line;
        _tokens.Add(new(isPrint ? TemplateTokenKind.BeginPrint : TemplateTokenKind.BeginTag, "", _line));
        var end = isPrint ? "}}" : "%}";
        var open = new Stack<char>();
        while (_position < _source.Length)
        {
            var character = _source[_position];
            var signed = character is '-' or '+' && !(character == '+' && isPrint);
            if (open.Count == 0 && string.CompareOrdinal(_source, _position + (signed ? 1 : 0), end, 0, 2) == 0)
            {
                _tokens.Add(new(isPrint ? TemplateTokenKind.EndPrint : TemplateTokenKind.EndTag, "", _line));
                Advance(_position + (signed ? 3 : 2));
                AfterTag(signed ? character : isPrint ? '+' : ' ');
                return;
            }
            if (PythonText.IsWhiteSpace(character))
                Advance(_position + 1);
            else if (char.IsAsciiDigit(character))
                ReadNumber();
            else if (character == '_' || char.IsLetter(character))
                Add(TemplateTokenKind.Name, Run(_position, next => next == '_' || char.IsLetterOrDigit(next)));
            else if (character is '\'' or '"')
                ReadString(character);
            else
                ReadOperator(open);
        }
        throw ChatTemplate.Unsupported(firstLine, "a tag does not end");
    }

    // A minus removes all white space after the tag; a tag or comment without a sign removes one line end.
    private void AfterTag(char sign)
    {
        var end = _position;
        if (sign == '-')
        {
            while (end < _source.Length && PythonText.IsWhiteSpace(_source[end])) end++;
        }
        else if (sign != '+' && end < _source.Length && _source[end] == '\n') end++;
        Advance(end);
        _atLineStart = _position > 0 && _source[_position - 1] == '\n';
    }

    private void ReadNumber()
    {
        static bool IsDigit(char character) => char.IsAsciiDigit(character) || character == '_';
        var end = Run(_position, IsDigit);
        var isFloat = false;
        if (end + 1 < _source.Length && _source[end] == '.' && char.IsAsciiDigit(_source[end + 1]))
            (end, isFloat) = (Run(end + 1, IsDigit), true);
        if (end < _source.Length && _source[end] is 'e' or 'E')
        {
            var exponent = end + (end + 1 < _source.Length && _source[end + 1] is '+' or '-' ? 2 : 1);
            if (exponent < _source.Length && char.IsAsciiDigit(_source[exponent])) (end, isFloat) = (Run(exponent, IsDigit), true);
        }
        if (end < _source.Length && char.IsLetter(_source[end]))
            throw ChatTemplate.Unsupported(_line, $"the number {_source[_position..(end + 1)]} is not supported");
        Add(isFloat ? TemplateTokenKind.Float : TemplateTokenKind.Integer, end);
    }

    private void ReadOperator(Stack<char> open)
    {
        var found = Array.Find(Operators, candidate => string.CompareOrdinal(_source, _position, candidate, 0, candidate.Length) == 0)
            ?? throw ChatTemplate.Unsupported(_line, $"the character '{_source[_position]}' is not expected");
        if (found is "(" or "[" or "{")
            open.Push(found[0] switch { '(' => ')', '[' => ']', _ => '}' });
        else if (found is ")" or "]" or "}" && (!open.TryPop(out var expected) || expected != found[0]))
            throw ChatTemplate.Unsupported(_line, $"'{found}' closes nothing");
        Add(TemplateTokenKind.Operator, _position + found.Length);
    }

    private void ReadString(char quote)
    {
        var line = _line;
        var value = new StringBuilder();
        var i = _position + 1;
        while (i < _source.Length && _source[i] != quote)
        {
            if (_source[i] == '\\' && i + 1 < _source.Length) i = PythonEscapes.Read(_source, i, _line, value);
            else value.Append(_source[i++]);
        }
        if (i >= _source.Length) throw ChatTemplate.Unsupported(line, "a text in quotes does not end");
        Advance(i + 1);
        _tokens.Add(new(TemplateTokenKind.String, value.ToString(), line));
    }

    private int Run(int from, Func<char, bool> belongs)
    {
        while (from < _source.Length && belongs(_source[from])) from++;
        return from;
    }

    private void Add(TemplateTokenKind kind, int end)
    {
        _tokens.Add(new(kind, _source[_position..end], _line));
        Advance(end);
    }

    private void Advance(int end)
    {
        for (; _position < end; _position++)
            if (_source[_position] == '\n') _line++;
    }
}
