#pragma warning disable CA1812   // these classes are read, not made
using Falcon.Tests.Architecture.Samples.Late;

namespace Falcon.Tests.Architecture.Samples.Early;

internal sealed class InASignature
{
    public void Take(Thing thing) => ArgumentNullException.ThrowIfNull(thing);
}

internal sealed class InAField
{
    public readonly Thing[] Things = [];
}

[Thing]
internal sealed class InAnAttribute;

internal sealed class InATypeArgument
{
    public List<Dictionary<string, Thing>>? Things { get; set; }
}

internal sealed class InABody
{
    public int Count() => 1 + Thing.Count;
}

internal sealed class InANew
{
    public string Text()
    {
        object made = new Thing();
        return made.ToString() + "";
    }
}

internal sealed class InAMethodArgument
{
    public object[] Made() => Array.Empty<Thing>();
}

internal sealed class InAnotherTypesArgument
{
    public int Count() => Holder<int>.Count;
}

internal sealed class InATypeOf
{
    public string Name() => typeof(Thing).Name;
}

internal sealed class InAPattern
{
    public bool Is(object value) => value is Thing { Size: 2 };
}

internal sealed class InACatch
{
    public int Count(Func<int> count)
    {
        try
        {
            return count();
        }
        catch (ArgumentException e) when (e.Data[0] is Thing)
        {
            return 0;
        }
    }
}

internal sealed class InAClosure
{
    public Func<int> Count(int more) => () => more + Thing.Count;
}

internal sealed class InAStaticLambda
{
    public IEnumerable<int> Count(int[] values) => values.Select(value => value + Thing.Count);
}

internal sealed class InAnIterator
{
    public IEnumerable<int> Count(int times)
    {
        for (var i = 0; i < times; i++) yield return Thing.Count;
    }
}

internal sealed class InAnAsyncMethod
{
    public async Task<int> Count(Task<int> other) => await other + Thing.Count;
}

internal sealed class InALocalFunction
{
    public int Count(int times)
    {
        return times > 0 ? Inner() : 0;
        int Inner() => times + Thing.Count;
    }
}

internal sealed class InANestedType
{
    internal sealed class Inner
    {
        public static int Count() => Thing.Count;
    }
}
