#pragma warning disable CA1812   // these classes are read, not made
namespace Falcon.Tests.Architecture.Samples.Late;

[AttributeUsage(AttributeTargets.Class)]
internal sealed class Thing : Attribute
{
    public static int Count => 3;

    public int Size { get; init; }
}

internal sealed class Holder<T>
{
    public static int Count => typeof(T).Name.Length;
}
