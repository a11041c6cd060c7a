namespace Falcon.ChatTemplates;

/// <summary>The arguments of a call, taken one after another by position or name; one that is not taken is an error.</summary>
internal sealed class TemplateArguments(string callee, IReadOnlyList<object?> positional, IReadOnlyDictionary<string, object?> named)
{
    private readonly Dictionary<string, object?> _named = new(named);
    private int _next;

    /// <summary>Takes all remaining arguments without a name.</summary>
    public List<object?> RestOfPositional()
    {
        var rest = positional.Skip(_next).ToList();
        _next = positional.Count;
        return rest;
    }

    /// <summary>Takes all remaining arguments with a name.</summary>
    public IReadOnlyDictionary<string, object?> RestOfNamed()
    {
        var rest = new Dictionary<string, object?>(_named);
        _named.Clear();
        return rest;
    }

    public bool IsGiven(string name) => _next < positional.Count || _named.ContainsKey(name);

    public object? Required(string name) =>
        IsGiven(name) ? Optional(name, null) : throw new TemplateOperationException($"{callee} needs the argument '{name}'");

    public object? Optional(string name, object? whenAbsent)
    {
        if (_next < positional.Count)
        {
            if (_named.ContainsKey(name)) throw new TemplateOperationException($"{callee} is given '{name}' twice");
            return positional[_next++];
        }
        return _named.Remove(name, out var value) ? value : whenAbsent;
    }

    /// <summary>Takes an argument that can only be given by name.</summary>
    public object? Named(string name, object? whenAbsent) => _named.Remove(name, out var value) ? value : whenAbsent;

    public string Text(string name) =>
        Required(name) is var value && value is string text
            ? text
            : throw new TemplateOperationException($"{callee} needs a text as '{name}', not {ChatTemplateValues.Describe(value)}");

    public string? OptionalText(string name)
    {
        var value = Optional(name, null);
        return value is null or string
            ? (string?)value
            : throw new TemplateOperationException($"{callee} needs a text as '{name}', not {ChatTemplateValues.Describe(value)}");
    }

    public long OptionalWhole(string name, long whenAbsent) =>
        Optional(name, whenAbsent) is var value && ChatTemplateValues.Whole(value) is { } whole
            ? whole
            : throw new TemplateOperationException($"{callee} needs a whole number as '{name}'");

    public bool OptionalFlag(string name) => ChatTemplateValues.IsTrue(Optional(name, false));

    /// <summary>Throws if arguments remain.</summary>
    public void End()
    {
        if (_next < positional.Count) throw new TemplateOperationException($"{callee} is given too many arguments");
        foreach (var name in _named.Keys) throw new TemplateOperationException($"{callee} has no argument '{name}'");
    }
}
