using System.Reflection;
using NetArchTest.Rules;

namespace Falcon.Tests.Architecture;

/// <summary>
/// Which types of an assembly use which namespaces: in signatures, fields, attributes, method bodies and closures. Only a constant's use
/// leaves no trace in an assembly.
/// </summary>
internal sealed class NamespaceUses(Assembly assembly)
{
    private readonly Types _types = Types.InAssembly(assembly);

    /// <summary>One line <c>type uses namespace</c> for each type under a namespace that uses one of others.</summary>
    /// <param name="user">The namespace whose types must not use the others.</param>
    /// <param name="forbidden">The namespaces that must not be used.</param>
    public IReadOnlyList<string> Between(string user, string[] forbidden) =>
        forbidden.Length == 0 || Users(user, forbidden).Count == 0   // one search where all is well
            ? []
            : [.. from used in forbidden from type in Users(user, [used]) select $"{type} uses {used}"];

    private List<string> Users(string user, string[] used) =>
        [.. _types.That().ResideInNamespace(user).ShouldNot().HaveDependencyOnAny(used).GetResult().FailingTypeNames ?? []];
}
