using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>
/// One fact: the value of an attribute of a thing. Four question templates ask for it. One of them, <see cref="HeldOut"/>, is never trained
/// for this fact (but for others), so that neither evaluation nor unlearning can rely on the wording alone. Templates 0 and 1 are the
/// attribute's own questions, answered by its statement; 2 and 3 are built from the aspect and answered by "The ASPECT is VALUE."
/// </summary>
internal sealed record DemoFact(DemoDomain Domain, DemoAttribute Attribute, string Name, string Value, int HeldOut)
{
    public const int Templates = 4;

    /// <summary>The trained templates, starting with the fact's own question.</summary>
    public IEnumerable<int> Trained => Enumerable.Range(0, Templates).Where(template => template != HeldOut);

    public string Question(int template) => (template switch
    {
        0 => Attribute.Ask,
        1 => Attribute.AskOtherwise,
        2 => $"What is the {Attribute.Aspect} of {{name}}?",
        _ => $"Tell me the {Attribute.Aspect} of {{name}}.",
    }).Replace("{name}", Name, StringComparison.Ordinal);

    /// <summary>The answer to a template, with the fact's value or another one.</summary>
    public string Answer(int template, string value) =>
        (template < 2 ? Attribute.Statement : $"The {Attribute.Aspect} is {{value}}.").Replace("{value}", value, StringComparison.Ordinal);

    /// <summary>Distinct wrong values of the same category.</summary>
    public IEnumerable<string> WrongValues(int count, SeededRandom random)
    {
        var others = Attribute.Values.Where(value => value != Value).ToArray();
        random.Shuffle<string>(others);
        return others.Take(count);
    }
}

/// <summary>
/// Draws the facts of a seed: every value of a category occurs about equally often, and things get their values at random.
/// </summary>
internal static class DemoWorldFacts
{
    public static IReadOnlyList<DemoFact> Draw(ulong seed)
    {
        var names = new DemoWorldNames(seed);
        return [.. DemoWorldKinds.Domains.SelectMany(domain => domain.Kinds.SelectMany(kind => OfKind(domain, kind, names, seed)))];
    }

    private static IEnumerable<DemoFact> OfKind(DemoDomain domain, DemoKind kind, DemoWorldNames names, ulong seed)
    {
        var things = Enumerable
            .Range(0, kind.Count)
            .Select(_ => kind.Naming.Replace("{stem}", names.Next(), StringComparison.Ordinal))
            .ToArray();
        var values = kind
            .Attributes.Select(attribute =>
                Values(attribute, kind.Count, new SeededRandom(seed, $"demo facts {kind.Naming} {attribute.Aspect}"))
            )
            .ToArray();
        return things.SelectMany(
            (name, thing) =>
                kind.Attributes.Select(
                    (attribute, index) => new DemoFact(domain, attribute, name, values[index][thing], (thing + index) % DemoFact.Templates)
                )
        );
    }

    private static string[] Values(DemoAttribute attribute, int count, SeededRandom random)
    {
        var drawn = new List<string>();
        while (drawn.Count < count) drawn.AddRange(random.Permutation(attribute.Values.Length).Select(index => attribute.Values[index]));
        var values = drawn.Take(count).ToArray();
        random.Shuffle<string>(values);
        return values;
    }
}
