using System.Globalization;
using System.Runtime.CompilerServices;

namespace Falcon.ChatTemplates;

/// <summary>Parses the statements of a template; <see cref="ChatTemplateExpressionParser"/> parses the expressions inside.</summary>
internal sealed class ChatTemplateParser(List<TemplateToken> tokens)
{
    private readonly ChatTemplateExpressionParser _expressions = new(tokens);
    private int _loops;

    public List<TemplateStatement> Template()
    {
        var body = Body();
        return _expressions.Current.Kind == TemplateTokenKind.End ? body : throw Unexpected();
    }

    /// <summary>Statements up to the end, or to a tag that ends or continues the enclosing one.</summary>
    private List<TemplateStatement> Body()
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        var body = new List<TemplateStatement>();
        while (true)
        {
            var token = _expressions.Current;
            switch (token.Kind)
            {
                case TemplateTokenKind.Text:
                    _expressions.Next();
                    body.Add(new TextStatement(token.Text, token.Line));
                    break;
                case TemplateTokenKind.BeginPrint:
                    _expressions.Next();
                    body.Add(new PrintStatement(_expressions.Tuple(), token.Line));
                    _expressions.Expect(TemplateTokenKind.EndPrint);
                    break;
                case TemplateTokenKind.BeginTag
                    when _expressions.Peek().Text
                        is not ("elif" or "else" or "endif" or "endfor" or "endset" or "endmacro" or "endgeneration"):
                    _expressions.Next();
                    body.Add(Tag());
                    break;
                default:
                    return body;
            }
        }
    }

    private TemplateStatement Tag()
    {
        var tag = _expressions.Expect(TemplateTokenKind.Name);
        switch (tag.Text)
        {
            case "if": return If(tag.Line);
            case "for": return For(tag.Line);
            case "set": return Set(tag.Line);
            case "macro": return Macro(tag.Line);
            case "generation":
                EndTag();
                return new GenerationStatement(BodyUntil("endgeneration"), tag.Line);
            case "break" or "continue":
                if (_loops == 0) throw ChatTemplate.Unsupported(tag.Line, $"'{tag.Text}' is outside a loop");
                EndTag();
                return new LoopControlStatement(tag.Text == "break", tag.Line);
            default: throw ChatTemplate.Unsupported(tag.Line, $"the tag '{tag.Text}' is not supported");
        }
    }

    private IfStatement If(int line)
    {
        var branches = new List<(TemplateExpression?, IReadOnlyList<TemplateStatement>)>();
        var condition = _expressions.Tuple(withConditional: false);
        EndTag();
        while (true)
        {
            branches.Add((condition, Body()));
            var next = Continuation();
            if (next == "elif")
            {
                condition = _expressions.Tuple(withConditional: false);
                EndTag();
                continue;
            }
            EndTag();
            if (next == "else")
            {
                branches.Add((null, BodyUntil("endif")));
            }
            else if (next != "endif") throw ChatTemplate.Unsupported(line, $"'{next}' does not end an if");
            return new(branches, line);
        }
    }

    private ForStatement For(int line)
    {
        var target = Target();
        _expressions.ExpectName("in");
        var sequence = _expressions.Tuple(withConditional: false);
        var filter = _expressions.SkipName("if") ? _expressions.Expression() : null;
        EndTag();
        _loops++;
        var body = Body();
        _loops--;
        List<TemplateStatement> whenEmpty = [];
        var next = Continuation();
        EndTag();
        if (next == "else") whenEmpty = BodyUntil("endfor");
        else if (next != "endfor") throw ChatTemplate.Unsupported(line, $"'{next}' does not end a for");
        return new(target, sequence, filter, body, whenEmpty, line);
    }

    private TemplateStatement Set(int line)
    {
        var target = Target();
        if (_expressions.Skip("="))
        {
            var value = _expressions.Tuple();
            EndTag();
            return new SetStatement(target, value, line);
        }
        var filtered = _expressions.Filters(new BlockText(line));
        EndTag();
        return new SetBlockStatement(target, filtered, BodyUntil("endset"), line);
    }

    private MacroStatement Macro(int line)
    {
        var name = _expressions.Expect(TemplateTokenKind.Name).Text;
        var parameters = new List<(string, TemplateExpression?)>();
        _expressions.ExpectOperator("(");
        while (!_expressions.Skip(")"))
        {
            if (parameters.Count > 0) _expressions.ExpectOperator(",");
            var parameter = _expressions.Expect(TemplateTokenKind.Name).Text;
            var whenAbsent = _expressions.Skip("=") ? _expressions.Expression() : null;
            if (whenAbsent is null && parameters.Count > 0 && parameters[^1].Item2 is not null)
                throw ChatTemplate.Unsupported(line, $"the parameter '{parameter}' needs a default, as the one before it has one");
            parameters.Add((parameter, whenAbsent));
        }
        EndTag();
        var outer = _loops;
        _loops = 0;
        var body = BodyUntil("endmacro");
        _loops = outer;
        return new(name, parameters, body, line);
    }

    private TemplateTarget Target()
    {
        var inParentheses = _expressions.Skip("(");
        var names = new List<string> { _expressions.Expect(TemplateTokenKind.Name).Text };
        if (!inParentheses && _expressions.Skip(".")) return new(names, false, _expressions.Expect(TemplateTokenKind.Name).Text);
        var isTuple = false;
        while (_expressions.Skip(","))
        {
            isTuple = true;
            if (_expressions.Current.Kind != TemplateTokenKind.Name || _expressions.Current.Text == "in") break;
            names.Add(_expressions.Next().Text);
        }
        if (inParentheses) _expressions.ExpectOperator(")");
        return new(names, isTuple);
    }

    private List<TemplateStatement> BodyUntil(string end)
    {
        var body = Body();
        var line = _expressions.Current.Line;
        var found = Continuation();
        if (found != end) throw ChatTemplate.Unsupported(line, $"'{end}' expected, found '{found}'");
        EndTag();
        return body;
    }

    private string Continuation()
    {
        if (_expressions.Current.Kind != TemplateTokenKind.BeginTag) throw Unexpected();
        _expressions.Next();
        return _expressions.Expect(TemplateTokenKind.Name).Text;
    }

    private void EndTag() => _expressions.Expect(TemplateTokenKind.EndTag);

    private Runtime.UnsupportedCheckpointException Unexpected()
    {
        var token = _expressions.Current;
        return token.Kind == TemplateTokenKind.End
            ? ChatTemplate.Unsupported(token.Line, "the template ends inside a block")
            : ChatTemplate.Unsupported(
                token.Line,
                string.Create(CultureInfo.InvariantCulture, $"the tag '{_expressions.Peek().Text}' is not expected here")
            );
    }
}
