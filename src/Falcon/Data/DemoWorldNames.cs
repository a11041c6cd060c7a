using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>
/// Invented names from syllables, each used once. No name equals a value of a category, which a test checks.
/// </summary>
internal sealed class DemoWorldNames
{
    private const int MostPerHead = 5;

    private static readonly string[] Heads =
    [
        "Vel", "Oss", "Tor", "Mir", "Quor", "Bren", "Hal", "Ild", "Sar", "Fen", "Dro", "Kel", "Nar", "Pell", "Rho", "Ulm",
        "Wex", "Yor", "Zan", "Cor", "Lun", "Gav", "Eld", "Jas", "Thir", "Brom",
    ];
    private static readonly string[] Tails =
    [
        "dora", "ennick", "adda", "owyn", "issel", "uven", "etha", "olvar", "ibran", "undra", "askel", "ephin", "orrel", "imet", "azzo",
        "uleth", "enwar", "ittol", "obin", "eshka", "urdis", "ellam", "avik", "antis",
    ];

    private readonly Queue<string> _names;

    public DemoWorldNames(ulong seed)
    {
        var uses = new Dictionary<string, int>();
        var pairs = new SeededRandom(seed, "demo names").Permutation(Heads.Length * Tails.Length)
            .Select(pair => (Head: Heads[pair / Tails.Length], Tail: Tails[pair % Tails.Length]));
        _names = new Queue<string>(
            pairs
                .Where(pair => (uses[pair.Head] = uses.GetValueOrDefault(pair.Head) + 1) <= MostPerHead)
                .Select(pair => pair.Head + pair.Tail)
        );
    }

    public string Next() => _names.Dequeue();
}
