namespace Falcon.ChatTemplates;

/// <summary>The supported Jinja tests (<c>value is name</c>).</summary>
internal static class ChatTemplatePredicates
{
    private static readonly Dictionary<string, Func<object?, TemplateArguments, bool>> Known = new()
    {
        ["defined"] = (value, _) => value is not Undefined,
        ["undefined"] = (value, _) => value is Undefined,
        ["none"] = (value, _) => value is null,
        ["string"] = (value, _) => value is string,
        ["mapping"] = (value, _) => value is TemplateMap,
        ["iterable"] = (value, _) => value is string or List<object?> or TemplateMap or Undefined,
        ["sequence"] = (value, _) => value is string or List<object?> or TemplateMap,
        ["number"] = (value, _) => value is bool or long or double,
        ["integer"] = (value, _) => value is long,
        ["float"] = (value, _) => value is double,
        ["boolean"] = (value, _) => value is bool,
        ["true"] = (value, _) => value is true,
        ["false"] = (value, _) => value is false,
        ["callable"] = (value, _) => value is TemplateFunction,
        ["odd"] = (value, _) => Remainder(value) == 1,
        ["even"] = (value, _) => Remainder(value) == 0,
        ["in"] = (value, arguments) => ChatTemplateValues.Contains(arguments.Required("seq"), value),
        ["eq"] = Equal,
        ["equalto"] = Equal,
        ["ne"] = (value, arguments) => !Equal(value, arguments),
        ["lt"] = (value, arguments) => ChatTemplateValues.Compare(value, arguments.Required("b")) < 0,
        ["le"] = (value, arguments) => ChatTemplateValues.Compare(value, arguments.Required("b")) <= 0,
        ["gt"] = (value, arguments) => ChatTemplateValues.Compare(value, arguments.Required("b")) > 0,
        ["ge"] = (value, arguments) => ChatTemplateValues.Compare(value, arguments.Required("b")) >= 0,
    };

    public static bool IsKnown(string name) => Known.ContainsKey(name);

    public static bool Apply(string name, object? value, TemplateArguments arguments)
    {
        if (!Known.TryGetValue(name, out var test)) throw new TemplateOperationException($"the test '{name}' is not supported");
        var result = test(value, arguments);
        arguments.End();
        return result;
    }

    private static bool Equal(object? value, TemplateArguments arguments) => ChatTemplateValues.AreEqual(value, arguments.Required("b"));

    private static long Remainder(object? value) =>
        ChatTemplateValues.Whole(value) is { } number
            ? number & 1
            : throw new TemplateOperationException($"{ChatTemplateValues.Describe(value)} is neither odd nor even");
}
