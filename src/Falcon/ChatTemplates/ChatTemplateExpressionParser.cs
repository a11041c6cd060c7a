using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Falcon.ChatTemplates;

/// <summary>
/// Parses expressions with Jinja's precedence: inline if, or, and, not, comparison, + -, ~, * / // %, **, sign, then filters and tests.
/// </summary>
internal sealed class ChatTemplateExpressionParser(List<TemplateToken> tokens)
{
    private int _index;

    public TemplateToken Current => tokens[_index];

    public TemplateToken Peek() => tokens[Math.Min(_index + 1, tokens.Count - 1)];

    public TemplateToken Next() => Current.Kind == TemplateTokenKind.End ? Current : tokens[_index++];

    public TemplateToken Expect(TemplateTokenKind kind) => Current.Kind == kind ? Next() : throw Unexpected();

    public void ExpectOperator(string text)
    {
        if (!Skip(text)) throw Unexpected();
    }

    public void ExpectName(string text)
    {
        if (!SkipName(text)) throw Unexpected();
    }

    public bool Skip(string text) => SkipToken(TemplateTokenKind.Operator, text);

    public bool SkipName(string text) => SkipToken(TemplateTokenKind.Name, text);

    /// <summary>One expression, or a tuple of several, separated by commas.</summary>
    public TemplateExpression Tuple(bool withConditional = true)
    {
        var line = Current.Line;
        var items = new List<TemplateExpression> { Single() };
        if (!Is(",")) return items[0];
        while (Skip(","))
        {
            if (Current.Kind is TemplateTokenKind.EndPrint or TemplateTokenKind.EndTag || Is(")")) break;
            items.Add(Single());
        }
        return new ListLiteral(items, true, line);

        TemplateExpression Single() => withConditional ? Expression() : Or();
    }

    public TemplateExpression Expression()
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        var line = Current.Line;
        var value = Or();
        while (SkipName("if"))
        {
            var condition = Or();
            value = new Conditional(value, condition, SkipName("else") ? Expression() : null, line);
        }
        return value;
    }

    /// <summary>The filters (<c>| name(…)</c>) and tests (<c>is name</c>) that follow a value.</summary>
    public TemplateExpression Filters(TemplateExpression value)
    {
        while (true)
        {
            var line = Current.Line;
            if (Skip("|")) value = Filter(value, line);
            else if (SkipName("is")) value = Test(value, line);
            else if (Is("(")) value = new Call(value, CallArguments(), line);
            else return value;
        }
    }

    private TemplateExpression Or() => LeftToRight(And, SkipNameOf, "or");

    private TemplateExpression And() => LeftToRight(Not, SkipNameOf, "and");

    private TemplateExpression Not()
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        var line = Current.Line;
        return SkipName("not") ? new Unary("not", Not(), line) : Compare();
    }

    private TemplateExpression Compare()
    {
        var line = Current.Line;
        var first = Sum();
        var links = new List<(string, TemplateExpression)>();
        while (ComparisonOperator() is { } found) links.Add((found, Sum()));
        return links.Count == 0 ? first : new Comparison(first, links, line);
    }

    private string? ComparisonOperator()
    {
        if (SkipOperatorOf(["==", "!=", "<", "<=", ">", ">="]) is { } found)
            return found;
        if (SkipName("in"))
            return "in";
        if (Current is not { Kind: TemplateTokenKind.Name, Text: "not" } || Peek() is not { Kind: TemplateTokenKind.Name, Text: "in" })
            return null;
        Next();
        Next();
        return "not in";
    }

    private TemplateExpression Sum() => LeftToRight(Concatenation, SkipOperatorOf, "+", "-");

    private TemplateExpression Concatenation() => LeftToRight(Product, SkipOperatorOf, "~");

    private TemplateExpression Product() => LeftToRight(Power, SkipOperatorOf, "*", "/", "//", "%");

    private TemplateExpression Power() => LeftToRight(() => Signed(withFilters: true), SkipOperatorOf, "**");

    private TemplateExpression LeftToRight(Func<TemplateExpression> operand, Func<string[], string?> skip, params string[] operators)
    {
        var line = Current.Line;
        var value = operand();
        while (skip(operators) is { } found) value = new Binary(found, value, operand(), line);
        return value;
    }

    private TemplateExpression Signed(bool withFilters)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        var line = Current.Line;
        var sign = SkipOperatorOf(["-", "+"]);
        var value = Postfix(sign is null ? Primary() : new Unary(sign, Signed(withFilters: false), line));
        return withFilters ? Filters(value) : value;
    }

    private TemplateExpression Primary()
    {
        var token = Next();
        switch (token.Kind)
        {
            case TemplateTokenKind.Name: return NameOrConstant(token);
            case TemplateTokenKind.String:
                var text = new StringBuilder(token.Text);
                while (Current.Kind == TemplateTokenKind.String) text.Append(Next().Text);
                return new Constant(text.ToString(), token.Line);
            case TemplateTokenKind.Integer:
                return long.TryParse(Digits(token), NumberStyles.None, CultureInfo.InvariantCulture, out var whole)
                    ? new Constant(whole, token.Line)
                    : throw ChatTemplate.Unsupported(token.Line, $"the number {token.Text} is too large");
            case TemplateTokenKind.Float:
                return new Constant(double.Parse(Digits(token), NumberStyles.Float, CultureInfo.InvariantCulture), token.Line);
            case TemplateTokenKind.Operator when token.Text == "(":
                if (Skip(")")) return new ListLiteral([], true, token.Line);
                var inner = Tuple();
                ExpectOperator(")");
                return inner;
            case TemplateTokenKind.Operator when token.Text == "[": return new ListLiteral(Items("]", Expression), false, token.Line);
            case TemplateTokenKind.Operator when token.Text == "{":
                return new MapLiteral(Items("}", () =>
                {
                    var key = Expression();
                    ExpectOperator(":");
                    return (key, Expression());
                }), token.Line);
            default:
                _index = Math.Max(0, _index - (token.Kind == TemplateTokenKind.End ? 0 : 1));
                throw Unexpected();
        }
    }

    private static string Digits(TemplateToken token) => token.Text.Replace("_", "", StringComparison.Ordinal);

    private static TemplateExpression NameOrConstant(TemplateToken token) =>
        token.Text switch
        {
            "true" or "True" => new Constant(true, token.Line),
            "false" or "False" => new Constant(false, token.Line),
            "none" or "None" => new Constant(null, token.Line),
            "lipsum" or "cycler" or "joiner" or "caller" or "varargs" or "kwargs" or "self" => throw ChatTemplate.Unsupported(
                token.Line,
                $"'{token.Text}' is not supported"
            ),
            _ => new VariableName(token.Text, token.Line),
        };

    private TemplateExpression Postfix(TemplateExpression value)
    {
        while (true)
        {
            var line = Current.Line;
            if (Skip("."))
                value =
                    Current.Kind == TemplateTokenKind.Integer
                        ? new ItemOf(value, Primary(), line)
                        : new AttributeOf(value, Expect(TemplateTokenKind.Name).Text, line);
            else if (Skip("["))
                value = Subscript(value, line);
            else if (Is("("))
                value = new Call(value, CallArguments(), line);
            else
                return value;
        }
    }

    private TemplateExpression Subscript(TemplateExpression value, int line)
    {
        var parts = new TemplateExpression?[3];
        var colons = 0;
        while (!Is("]"))
        {
            if (colons < 2 && Skip(":")) colons++;
            else if (parts[colons] is null) parts[colons] = Expression();
            else throw Unexpected();
        }
        ExpectOperator("]");
        if (colons > 0)
            return new SliceOf(value, parts[0], parts[1], parts[2], line);
        return parts[0] is { } key
            ? new ItemOf(value, key, line)
            : throw ChatTemplate.Unsupported(line, "an index is missing between [ and ]");
    }

    private Filtered Filter(TemplateExpression value, int line)
    {
        var name = Expect(TemplateTokenKind.Name).Text;
        if (!ChatTemplateFilters.IsKnown(name)) throw ChatTemplate.Unsupported(line, $"the filter '{name}' is not supported");
        return new(value, name, Is("(") ? CallArguments() : Arguments.None, line);
    }

    private Tested Test(TemplateExpression value, int line)
    {
        var negated = SkipName("not");
        var name = Expect(TemplateTokenKind.Name).Text;
        if (!ChatTemplatePredicates.IsKnown(name)) throw ChatTemplate.Unsupported(line, $"the test '{name}' is not supported");
        var arguments = Arguments.None;
        if (Is("(")) arguments = CallArguments();
        else if (Current is { Kind: TemplateTokenKind.Name, Text: not ("else" or "or" or "and") } || Is("[") || Is("{")
            || Current.Kind is TemplateTokenKind.String or TemplateTokenKind.Integer or TemplateTokenKind.Float)
            arguments = new([Postfix(Primary())], []);
        return new(value, name, arguments, negated, line);
    }

    private Arguments CallArguments()
    {
        var positional = new List<TemplateExpression>();
        var named = new List<(string, TemplateExpression)>();
        ExpectOperator("(");
        Items(")", () =>
        {
            if (Current.Kind == TemplateTokenKind.Name && Peek() is { Kind: TemplateTokenKind.Operator, Text: "=" })
            {
                var name = Next().Text;
                Next();
                named.Add((name, Expression()));
            }
            else if (named.Count > 0) throw ChatTemplate.Unsupported(Current.Line, "an argument without name follows one with a name");
            else positional.Add(Expression());
            return 0;
        });
        return new(positional, named);
    }

    private List<T> Items<T>(string end, Func<T> item)
    {
        var items = new List<T>();
        while (!Skip(end))
        {
            if (items.Count > 0)
            {
                ExpectOperator(",");
                if (Skip(end)) break;
            }
            items.Add(item());
        }
        return items;
    }

    private bool Is(string text) => Current.Kind == TemplateTokenKind.Operator && Current.Text == text;

    private bool SkipToken(TemplateTokenKind kind, string text)
    {
        if (Current.Kind != kind || Current.Text != text) return false;
        _index++;
        return true;
    }

    private string? SkipOperatorOf(string[] operators) => Array.Find(operators, Skip);

    private string? SkipNameOf(string[] names) => Array.Find(names, SkipName);

    private Runtime.UnsupportedCheckpointException Unexpected() =>
        ChatTemplate.Unsupported(
            Current.Line,
            Current.Kind == TemplateTokenKind.End
                ? "the template ends too early"
                : $"'{(Current.Text.Length > 0 ? Current.Text : Current.Kind)}' is not expected here"
        );
}
