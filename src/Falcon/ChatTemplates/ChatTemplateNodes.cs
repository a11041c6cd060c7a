namespace Falcon.ChatTemplates;

/// <summary>A statement of a chat template.</summary>
internal abstract record TemplateStatement(int Line);

internal sealed record TextStatement(string Text, int Line) : TemplateStatement(Line);

internal sealed record PrintStatement(TemplateExpression Value, int Line) : TemplateStatement(Line);

/// <summary>The body of the first branch whose condition holds; the condition of an else branch is null.</summary>
internal sealed record IfStatement(IReadOnlyList<(TemplateExpression? Condition, IReadOnlyList<TemplateStatement> Body)> Branches, int Line)
    : TemplateStatement(Line);

internal sealed record ForStatement(
    TemplateTarget Target,
    TemplateExpression Sequence,
    TemplateExpression? Filter,
    IReadOnlyList<TemplateStatement> Body,
    IReadOnlyList<TemplateStatement> WhenEmpty,
    int Line) : TemplateStatement(Line);

internal sealed record SetStatement(TemplateTarget Target, TemplateExpression Value, int Line) : TemplateStatement(Line);

/// <summary>
/// Sets a variable to the text that the body prints, passed through filters whose innermost value is <see cref="BlockText"/>.
/// </summary>
internal sealed record SetBlockStatement(
    TemplateTarget Target,
    TemplateExpression Filtered,
    IReadOnlyList<TemplateStatement> Body,
    int Line
) : TemplateStatement(Line);

internal sealed record MacroStatement(
    string Name,
    IReadOnlyList<(string Name, TemplateExpression? Default)> Parameters,
    IReadOnlyList<TemplateStatement> Body,
    int Line
) : TemplateStatement(Line);

internal sealed record GenerationStatement(IReadOnlyList<TemplateStatement> Body, int Line) : TemplateStatement(Line);

internal sealed record LoopControlStatement(bool Breaks, int Line) : TemplateStatement(Line);

/// <summary>The target of a set or for: names, or one attribute of a namespace.</summary>
internal sealed record TemplateTarget(IReadOnlyList<string> Names, bool IsTuple, string? NamespaceAttribute = null);

/// <summary>An expression of a chat template.</summary>
internal abstract record TemplateExpression(int Line);

internal sealed record Constant(object? Value, int Line) : TemplateExpression(Line);

internal sealed record VariableName(string Name, int Line) : TemplateExpression(Line);

internal sealed record BlockText(int Line) : TemplateExpression(Line);

internal sealed record ListLiteral(IReadOnlyList<TemplateExpression> Items, bool IsTuple, int Line) : TemplateExpression(Line);

internal sealed record MapLiteral(IReadOnlyList<(TemplateExpression Key, TemplateExpression Value)> Items, int Line)
    : TemplateExpression(Line);

/// <summary><c>not</c>, <c>-</c> or <c>+</c> before a value.</summary>
internal sealed record Unary(string Operator, TemplateExpression Operand, int Line) : TemplateExpression(Line);

internal sealed record Binary(string Operator, TemplateExpression Left, TemplateExpression Right, int Line) : TemplateExpression(Line);

/// <summary><c>a &lt; b &lt;= c</c>: every link must hold.</summary>
internal sealed record Comparison(TemplateExpression First, IReadOnlyList<(string Operator, TemplateExpression Value)> Links, int Line)
    : TemplateExpression(Line);

internal sealed record Conditional(TemplateExpression WhenTrue, TemplateExpression Condition, TemplateExpression? WhenFalse, int Line)
    : TemplateExpression(Line);

internal sealed record AttributeOf(TemplateExpression Object, string Name, int Line) : TemplateExpression(Line);

internal sealed record ItemOf(TemplateExpression Object, TemplateExpression Key, int Line) : TemplateExpression(Line);

internal sealed record SliceOf(
    TemplateExpression Object,
    TemplateExpression? Start,
    TemplateExpression? Stop,
    TemplateExpression? Step,
    int Line
) : TemplateExpression(Line);

internal sealed record Arguments(IReadOnlyList<TemplateExpression> Positional, IReadOnlyList<(string Name, TemplateExpression Value)> Named)
{
    public static Arguments None { get; } = new([], []);
}

internal sealed record Call(TemplateExpression Callee, Arguments Arguments, int Line) : TemplateExpression(Line);

internal sealed record Filtered(TemplateExpression Value, string Filter, Arguments Arguments, int Line) : TemplateExpression(Line);

internal sealed record Tested(TemplateExpression Value, string Test, Arguments Arguments, bool Negated, int Line)
    : TemplateExpression(Line);
