namespace Falcon.Tests.Architecture.Samples.Late;

internal sealed class Thing : Attribute
{
    public static int Count => 3;

    public int Size { get; init; }
}

internal sealed class Holder<T>
{
    public static int Count => typeof(T).Name.Length;
}
