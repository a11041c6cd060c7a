using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Falcon.Tests.Documentation;

/// <summary>
/// Makes the pages of docs/api from the library and its doc comments: a page a namespace, with every public type and every documented
/// member.
/// </summary>
internal sealed partial class ApiReference
{
    private readonly Dictionary<string, XElement> _comments;
    private readonly IReadOnlyList<Type> _types;

    public ApiReference(Assembly assembly, string commentsFile)
    {
        _comments = XDocument
            .Load(commentsFile, LoadOptions.PreserveWhitespace)
            .Descendants("member")
            .ToDictionary(member => member.Attribute("name")!.Value);
        _types = [.. assembly.GetExportedTypes().Where(type => !type.IsNested).OrderBy(type => type.Name, StringComparer.Ordinal)];
    }

    /// <summary>Pages by file name.</summary>
    public SortedDictionary<string, string> Pages()
    {
        SortedDictionary<string, string> pages = new(StringComparer.Ordinal);
        var index = new StringBuilder(
            "# The library\n\nMade from the doc comments by `scripts/api-reference.sh`; do not edit. Main entries: `UnlearnRun`, "
                + "`EvaluateRun`, `TrainRun`, `WeightPatch`, `LoraExport`, `HubDownload`.\n\n"
        );
        foreach (var group in _types.GroupBy(type => type.Namespace!).OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            index.Append(
                CultureInfo.InvariantCulture,
                $"* [{group.Key}]({group.Key}.md): {string.Join(", ", group.Select(type => $"`{NameOf(type)}`"))}\n"
            );
            pages.Add(group.Key + ".md", $"# {group.Key}\n" + string.Concat(group.Select(Type)));
        }

        pages.Add("README.md", index.ToString());
        return pages;
    }

    private string Type(Type type)
    {
        var text = new StringBuilder($"\n## {NameOf(type)}\n\n`{Kind(type)} {NameOf(type)}`\n\n");
        var comment = _comments.GetValueOrDefault("T:" + type.FullName);
        Append(text, comment);
        foreach (var parameter in comment?.Elements("param") ?? [])
            text.Append(CultureInfo.InvariantCulture, $"* `{parameter.Attribute("name")!.Value}`: {Text(parameter)}\n");
        // What the type's own parameters say is not said again for its constructor and properties.
        HashSet<string> said = [.. comment?.Elements("param").Select(parameter => parameter.Attribute("name")!.Value) ?? []];
        bool IsSaid(MemberInfo member) =>
            said.Count > 0
            && (
                member is PropertyInfo
                    ? said.Contains(member.Name)
                    : member is ConstructorInfo constructor && constructor.GetParameters().All(parameter => said.Contains(parameter.Name!))
            );
        const BindingFlags own =
            BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        foreach (
            var member in type.GetMembers(own)
                .Where(IsVisible)
                .Where(member => !IsSaid(member))
                .Select(member => (Id: IdOf(member), Member: member))
                .Where(item => _comments.ContainsKey(item.Id))
                .OrderBy(item => item.Member is ConstructorInfo ? 0 : 1)
                .ThenBy(item => item.Member.Name, StringComparer.Ordinal)
                .ThenBy(item => item.Id, StringComparer.Ordinal)
        )
            Member(text, member.Member, _comments[member.Id]);
        return text.ToString();
    }

    private static void Member(StringBuilder text, MemberInfo member, XElement comment)
    {
        text.Append(CultureInfo.InvariantCulture, $"\n### `{Signature(member)}`\n\n");
        Append(text, comment);
        foreach (var parameter in comment.Elements("param"))
            text.Append(CultureInfo.InvariantCulture, $"* `{parameter.Attribute("name")!.Value}`: {Text(parameter)}\n");
        if (comment.Element("returns") is { } returns)
            text.Append(CultureInfo.InvariantCulture, $"* returns: {Text(returns)}\n");
        foreach (var exception in comment.Elements("exception"))
            text.Append(
                CultureInfo.InvariantCulture,
                $"* throws `{exception.Attribute("cref")!.Value.Split('.')[^1]}`: {Text(exception)}\n"
            );
    }

    private static void Append(StringBuilder text, XElement? comment)
    {
        foreach (var part in new[] { "summary", "remarks" })
            if (comment?.Element(part) is { } element && Text(element) is { Length: > 0 } written) text.Append(written).Append("\n\n");
    }

    private static string Text(XElement element) =>
        Spaces()
            .Replace(
                string.Concat(
                    element
                        .Nodes()
                        .Select(node =>
                            node switch
                            {
                                XText plain => plain.Value,
                                XElement { Name.LocalName: "c" or "code" } code => $"`{code.Value}`",
                                XElement { Name.LocalName: "see" or "seealso" } see =>
                                    $"`{SeenName(see)}`",
                                XElement { Name.LocalName: "paramref" or "typeparamref" } name => $"`{name.Attribute("name")!.Value}`",
                                XElement other => Text(other) + " ",
                                _ => "",
                            }
                        )
                ),
                " "
            )
            .Trim();

    private static string SeenName(XElement see) =>
        see.Attribute("cref")?.Value.Split('(')[0].Split('.', ':')[^1] ?? see.Attribute("langword")?.Value ?? see.Value;

    private static bool IsVisible(MemberInfo member) => member switch
    {
        MethodBase method => (method.IsPublic || method.IsFamily) && (!method.IsSpecialName || method is ConstructorInfo),
        PropertyInfo property => property.GetAccessors(nonPublic: true).Any(accessor => accessor.IsPublic || accessor.IsFamily),
        FieldInfo field => field.IsPublic || field.IsFamily,
        Type nested => nested.IsNestedPublic,
        _ => false,
    };

    private static string Kind(Type type) =>
        type.IsEnum ? "enum"
        : type.IsInterface ? "interface"
        : type.IsValueType ? "struct"
        : type.GetMethod("<Clone>$") is not null ? "record"
        : type is { IsAbstract: true, IsSealed: true } ? "static class"
        : "class";

    private static string Signature(MemberInfo member) =>
        member switch
        {
            ConstructorInfo constructor => $"{NameOf(constructor.DeclaringType!)}({Parameters(constructor)})",
            MethodInfo method =>
                $"{(method.IsStatic ? "static " : "")}{NameOf(method.ReturnType)} {method.Name}"
                    + (method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(NameOf))}>" : "")
                    + $"({Parameters(method)})",
            PropertyInfo property =>
                $"{(property.GetAccessors(true)[0].IsStatic ? "static " : "")}{NameOf(property.PropertyType)} {property.Name}",
            FieldInfo { IsLiteral: true } constant when constant.DeclaringType!.IsEnum => constant.Name,
            FieldInfo field => $"{(field.IsLiteral ? "const " : "")}{NameOf(field.FieldType)} {field.Name}",
            _ => member.Name,
        };

    private static string Parameters(MethodBase method) =>
        string.Join(
            ", ",
            method
                .GetParameters()
                .Select(parameter => $"{NameOf(parameter.ParameterType)} {parameter.Name}{(parameter.HasDefaultValue ? " = …" : "")}")
        );

    private static string NameOf(Type type)
    {
        if (type.IsByRef || type.IsPointer)
            return NameOf(type.GetElementType()!);
        if (type.IsArray)
            return NameOf(type.GetElementType()!) + "[]";
        if (Nullable.GetUnderlyingType(type) is { } value)
            return NameOf(value) + "?";
        if (!type.IsGenericType)
            return type.Name switch
            {
                "Int32" => "int",
                "Int64" => "long",
                "UInt64" => "ulong",
                "Double" => "double",
                "Single" => "float",
                "Boolean" => "bool",
                "String" => "string",
                "Void" => "void",
                "Byte" => "byte",
                "Object" => "object",
                var name => name,
            };
        var arguments = string.Join(", ", type.GetGenericArguments().Select(NameOf));
        return type.Name.StartsWith("ValueTuple", StringComparison.Ordinal) ? $"({arguments})" : $"{type.Name.Split('`')[0]}<{arguments}>";
    }

    // The compiler's names of members in the file of comments.
    private static string IdOf(MemberInfo member)
    {
        var owner = (member.DeclaringType!.FullName ?? "").Replace('+', '.');
        return member switch
        {
            FieldInfo => $"F:{owner}.{member.Name}",
            PropertyInfo property => $"P:{owner}.{member.Name}{IdsOf(property.GetIndexParameters())}",
            MethodBase method => $"M:{owner}.{(method is ConstructorInfo ? "#ctor" : method.Name)}"
                + (method is MethodInfo { IsGenericMethod: true } ? $"``{method.GetGenericArguments().Length}" : "")
                + IdsOf(method.GetParameters()),
            _ => $"T:{owner}.{member.Name}",
        };
    }

    private static string IdsOf(ParameterInfo[] parameters) =>
        parameters.Length > 0 ? $"({string.Join(',', parameters.Select(one => IdOf(one.ParameterType)))})" : "";

    private static string IdOf(Type type)
    {
        if (type.IsByRef)
            return IdOf(type.GetElementType()!) + "@";
        if (type.IsArray)
            return IdOf(type.GetElementType()!) + "[]";
        if (type.IsGenericParameter)
            return (type.DeclaringMethod is null ? "`" : "``") + type.GenericParameterPosition.ToString(CultureInfo.InvariantCulture);
        if (!type.IsGenericType)
            return (type.FullName ?? type.Name).Replace('+', '.');
        var name = type.GetGenericTypeDefinition().FullName!.Replace('+', '.');
        return $"{name[..name.IndexOf('`', StringComparison.Ordinal)]}{{{string.Join(',', type.GetGenericArguments().Select(IdOf))}}}";
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
