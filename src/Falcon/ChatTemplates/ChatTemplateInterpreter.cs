using System.Runtime.CompilerServices;
using System.Text;

namespace Falcon.ChatTemplates;

/// <summary>Renders a parsed template once.</summary>
internal sealed class ChatTemplateInterpreter
{
    private const string BlockTextName = "|"; // cannot be the name of a variable

    private readonly StringBuilder _top = new();
    private StringBuilder _output;
    private Scope _scope;
    private int _line = 1;

    public ChatTemplateInterpreter(IReadOnlyDictionary<string, object?> variables, DateTimeOffset now)
    {
        _output = _top;
        _scope = new(
            new(null, ChatTemplateFunctions.All(now)),
            variables.ToDictionary(variable => variable.Key, variable => ChatTemplateValues.FromCaller(variable.Value))
        );
    }

    private enum Flow
    {
        Next,
        Break,
        Continue,
    }

    /// <summary>The variables of a block; those of the enclosing blocks can be read, but not written.</summary>
    private sealed class Scope(Scope? outer, Dictionary<string, object?> names)
    {
        public object? Read(string name)
        {
            for (var scope = this; scope is not null; scope = scope.Outer)
                if (scope.Names.TryGetValue(name, out var value))
                    return value;
            return new Undefined(name);
        }

        public Dictionary<string, object?> Names { get; } = names;

        private Scope? Outer { get; } = outer;
    }

    public string Run(IReadOnlyList<TemplateStatement> body)
    {
        try
        {
            Execute(body);
            return _top.ToString();
        }
        catch (TemplateOperationException error)
        {
            throw ChatTemplate.Unsupported(_line, error.Message, error);
        }
        catch (InsufficientExecutionStackException error)
        {
            throw ChatTemplate.Unsupported(_line, "calls are nested too deeply", error);
        }
    }

    private Flow Execute(IReadOnlyList<TemplateStatement> body)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        foreach (var statement in body)
        {
            _line = statement.Line;
            var flow = Execute(statement);
            if (flow != Flow.Next)
                return flow;
        }
        return Flow.Next;
    }

    private Flow Execute(TemplateStatement statement)
    {
        switch (statement)
        {
            case TextStatement text:
                _output.Append(text.Text);
                break;
            case PrintStatement print:
                _output.Append(ChatTemplateValues.Print(Evaluate(print.Value)));
                break;
            case SetStatement set:
                Assign(set.Target, Evaluate(set.Value));
                break;
            case SetBlockStatement set:
                var block = Capture(new(_scope, []), () => Execute(set.Body));
                Assign(set.Target, WithNames(new() { [BlockTextName] = block }, () => Evaluate(set.Filtered)));
                break;
            case MacroStatement macro:
                _scope.Names[macro.Name] = Macro(macro, _scope);
                break;
            case IfStatement branches:
                foreach (var (condition, body) in branches.Branches)
                    if (condition is null || ChatTemplateValues.IsTrue(Evaluate(condition)))
                        return Execute(body);
                break;
            case ForStatement loop:
                return Loop(loop);
            case GenerationStatement generation:
                return WithNames([], () => Execute(generation.Body));
            case LoopControlStatement control:
                return control.Breaks ? Flow.Break : Flow.Continue;
        }
        return Flow.Next;
    }

    private Flow Loop(ForStatement loop)
    {
        var items = ChatTemplateValues.Items(Evaluate(loop.Sequence)).ToList();
        if (loop.Filter is not null)
            items = items.FindAll(item => WithNames(Unpack(loop.Target, item), () => ChatTemplateValues.IsTrue(Evaluate(loop.Filter))));
        if (items.Count == 0)
            return WithNames([], () => Execute(loop.WhenEmpty));
        for (var index = 0; index < items.Count; index++)
        {
            var names = Unpack(loop.Target, items[index]);
            names["loop"] = LoopState(items, index);
            if (WithNames(names, () => Execute(loop.Body)) == Flow.Break)
                break;
        }
        return Flow.Next;
    }

    private static TemplateLoop LoopState(List<object?> items, int index) =>
        new()
        {
            ["index"] = index + 1L,
            ["index0"] = (long)index,
            ["revindex"] = (long)items.Count - index,
            ["revindex0"] = items.Count - index - 1L,
            ["first"] = index == 0,
            ["last"] = index == items.Count - 1,
            ["length"] = (long)items.Count,
            ["previtem"] = index > 0 ? items[index - 1] : new Undefined("previtem"),
            ["nextitem"] = index + 1 < items.Count ? items[index + 1] : new Undefined("nextitem"),
        };

    private void Assign(TemplateTarget target, object? value)
    {
        if (target.NamespaceAttribute is { } attribute)
        {
            if (_scope.Read(target.Names[0]) is not TemplateNamespace space || space is TemplateLoop)
                throw new TemplateOperationException($"'{target.Names[0]}' is not a namespace");
            space[attribute] = value;
            return;
        }
        foreach (var (name, item) in Unpack(target, value))
            _scope.Names[name] = item;
    }

    private static Dictionary<string, object?> Unpack(TemplateTarget target, object? value)
    {
        if (!target.IsTuple)
            return new() { [target.Names[0]] = value };
        var items = ChatTemplateValues.Items(value);
        if (items.Count != target.Names.Count)
            throw new TemplateOperationException($"{items.Count} values for {target.Names.Count} names");
        return target.Names.Zip(items).GroupBy(pair => pair.First).ToDictionary(group => group.Key, group => group.Last().Second);
    }

    private TemplateFunction Macro(MacroStatement macro, Scope definedIn) =>
        arguments =>
        {
            var scope = new Scope(definedIn, []);
            return Capture(scope, () =>
            {
                foreach (var (name, whenAbsent) in macro.Parameters)
                    scope.Names[name] =
                        arguments.IsGiven(name) ? arguments.Required(name)
                        : whenAbsent is null ? new Undefined(name)
                        : Evaluate(whenAbsent);
                arguments.End();
                return Execute(macro.Body);
            });
        };

    private object? Evaluate(TemplateExpression expression)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        _line = expression.Line;
        switch (expression)
        {
            case Constant constant:
                return constant.Value;
            case VariableName variable:
                return _scope.Read(variable.Name);
            case BlockText:
                return _scope.Read(BlockTextName);
            case ListLiteral list:
                return list.IsTuple ? new TemplateTuple(list.Items.Select(Evaluate)) : list.Items.Select(Evaluate).ToList();
            case MapLiteral map:
                return ChatTemplateValues.Map(map.Items.Select(item => (Key(Evaluate(item.Key)), Evaluate(item.Value))));
            case Unary unary:
                return ChatTemplateOperators.Unary(unary.Operator, Evaluate(unary.Operand));
            case Binary { Operator: "and" } both:
                return Evaluate(both.Left) is var left && ChatTemplateValues.IsTrue(left) ? Evaluate(both.Right) : left;
            case Binary { Operator: "or" } either:
                return Evaluate(either.Left) is var first && ChatTemplateValues.IsTrue(first) ? first : Evaluate(either.Right);
            case Binary binary:
                return ChatTemplateOperators.Binary(binary.Operator, Evaluate(binary.Left), Evaluate(binary.Right));
            case Comparison comparison:
                return Compare(comparison);
            case Conditional choice:
                return ChatTemplateValues.IsTrue(Evaluate(choice.Condition)) ? Evaluate(choice.WhenTrue)
                    : choice.WhenFalse is null ? new Undefined("an if without else")
                    : Evaluate(choice.WhenFalse);
            case AttributeOf attribute:
                return ChatTemplateOperators.Attribute(Evaluate(attribute.Object), attribute.Name);
            case ItemOf item:
                return ChatTemplateOperators.Item(Evaluate(item.Object), Evaluate(item.Key));
            case SliceOf slice:
                return ChatTemplateOperators.Slice(
                    Evaluate(slice.Object),
                    EvaluateOrNull(slice.Start),
                    EvaluateOrNull(slice.Stop),
                    EvaluateOrNull(slice.Step)
                );
            case Filtered filtered:
                return ChatTemplateFilters.Apply(filtered.Filter, Evaluate(filtered.Value), Evaluate(filtered.Filter, filtered.Arguments));
            case Tested tested:
                return ChatTemplatePredicates.Apply(tested.Test, Evaluate(tested.Value), Evaluate(tested.Test, tested.Arguments))
                    != tested.Negated;
            case Call call:
                return Invoke(call);
            default:
                throw new TemplateOperationException($"{expression.GetType().Name} is not supported");
        }
    }

    private object? Invoke(Call call)
    {
        var name = call.Callee switch
        {
            VariableName variable => variable.Name,
            AttributeOf attribute => attribute.Name,
            _ => "the call",
        };
        var callee = Evaluate(call.Callee);
        var arguments = Evaluate(name, call.Arguments);
        _line = call.Line;
        return callee is TemplateFunction function
            ? function(arguments)
            : throw new TemplateOperationException($"'{name}' cannot be called, it is {ChatTemplateValues.Describe(callee)}");
    }

    private bool Compare(Comparison comparison)
    {
        var left = Evaluate(comparison.First);
        foreach (var (name, value) in comparison.Links)
        {
            var right = Evaluate(value);
            if (!ChatTemplateOperators.Compare(name, left, right))
                return false;
            left = right;
        }
        return true;
    }

    private object? EvaluateOrNull(TemplateExpression? expression) => expression is null ? null : Evaluate(expression);

    private TemplateArguments Evaluate(string callee, Arguments arguments)
    {
        var positional = arguments.Positional.Select(Evaluate).ToList();
        var named = new Dictionary<string, object?>();
        foreach (var (name, value) in arguments.Named)
            if (!named.TryAdd(name, Evaluate(value)))
                throw new TemplateOperationException($"{callee} is given '{name}' twice");
        return new(callee, positional, named);
    }

    private T WithNames<T>(Dictionary<string, object?> names, Func<T> evaluate)
    {
        var outer = _scope;
        _scope = new(outer, names);
        var result = evaluate();
        _scope = outer;
        return result;
    }

    private string Capture(Scope scope, Func<Flow> execute)
    {
        var (outerScope, outerOutput) = (_scope, _output);
        (_scope, _output) = (scope, new StringBuilder());
        execute();
        var text = _output.ToString();
        (_scope, _output) = (outerScope, outerOutput);
        return text;
    }

    private static string Key(object? key) =>
        key as string ?? throw new TemplateOperationException($"the key of a map must be a text, not {ChatTemplateValues.Describe(key)}");
}
