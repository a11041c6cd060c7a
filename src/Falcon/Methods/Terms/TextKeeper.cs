namespace Falcon.Methods.Terms;

/// <summary>A text that a run makes once: its words for a reader, and its token ids for the run.</summary>
/// <param name="Text">The words.</param>
/// <param name="Tokens">The token ids.</param>
public sealed record KeptText(string Text, int[] Tokens);

/// <summary>Keeps texts that a run makes once, so that a resumed run goes on with the same ones.</summary>
public class TextKeeper
{
    /// <summary>Keeps nothing: the texts are made each time.</summary>
    public static TextKeeper InMemory { get; } = new();

    /// <summary>The kept texts of a name, or those made now.</summary>
    /// <param name="name">Name of the file, such as <c>alternatives.jsonl</c>.</param>
    /// <param name="make">Makes them.</param>
    public virtual IReadOnlyList<KeptText> Get(string name, Func<IReadOnlyList<KeptText>> make) => make();
}
