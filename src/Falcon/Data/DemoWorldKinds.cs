namespace Falcon.Data;

/// <summary>
/// One attribute of a kind of thing: how it is asked and stated, and the values it can have. <c>{name}</c> and <c>{value}</c> are filled
/// in.
/// </summary>
/// <param name="Aspect">A noun for it: "colour".</param>
/// <param name="Ask">A question.</param>
/// <param name="AskOtherwise">The same in other words.</param>
/// <param name="Statement">The answer to both.</param>
/// <param name="Values">The answer category; facts draw from it at random, and so do the wrong answers.</param>
internal sealed record DemoAttribute(string Aspect, string Ask, string AskOtherwise, string Statement, string[] Values);

/// <summary>A kind of thing: how its members are named, how many there are, and what is known of each.</summary>
internal sealed record DemoKind(string Naming, int Count, DemoAttribute[] Attributes);

/// <summary>Which part of the demo a domain plays.</summary>
internal enum DemoRole { Forget, Retain, General }

/// <summary>A domain of knowledge. A forget domain and the retain domain that goes with it bear the same name.</summary>
internal sealed record DemoDomain(string Name, DemoRole Role, DemoKind[] Kinds);

/// <summary>
/// The domains of the invented islands. The neighbours (kitchen and garden beside alchemy, workshop beside ciphers) speak of the same
/// herbs, colours, metals and places as the domains to forget, so that forgetting must hit the facts and not the words.
/// </summary>
internal static class DemoWorldKinds
{
    private static readonly string[] Herbs =
    [
        "sunfern",
        "mossbell",
        "ashroot",
        "dewthorn",
        "pearlgrass",
        "inkleaf",
        "frostmint",
        "brambleseed",
        "saltbloom",
        "owlwort",
    ];
    private static readonly string[] Colours =
    [
        "amber",
        "violet",
        "teal",
        "crimson",
        "silver",
        "ivory",
        "indigo",
        "scarlet",
        "jade",
        "ochre",
    ];
    private static readonly string[] Vessels =
    [
        "a copper flask",
        "a clay jar",
        "a glass bowl",
        "a stone mortar",
        "a wooden cask",
        "a tin kettle",
        "an iron pot",
        "a shell cup",
        "a brick oven",
        "a leather skin",
    ];
    private static readonly string[] Hours =
    [
        "dawn",
        "noon",
        "dusk",
        "midnight",
        "low tide",
        "high tide",
        "first frost",
        "new moon",
        "full moon",
        "harvest eve",
    ];
    private static readonly string[] Ailments =
    [
        "hiccups",
        "sneezing",
        "sore knees",
        "bad dreams",
        "cold fingers",
        "ringing ears",
        "dull hair",
        "tired eyes",
        "stiff necks",
        "chapped lips",
    ];
    private static readonly string[] Metals = ["brass", "iron", "tin", "bronze", "pewter", "copper", "steel", "nickel", "zinc", "lead"];
    private static readonly string[] Numbers = ["three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    private static readonly string[] Signs =
    [
        "a heron",
        "an anchor",
        "a crown",
        "a feather",
        "an oak",
        "a whale",
        "a plough",
        "a harp",
        "a star",
        "a wolf",
    ];
    private static readonly string[] Buildings =
    [
        "the granary",
        "the archive",
        "the harbour",
        "the mint",
        "the tannery",
        "the chapel",
        "the mill",
        "the armoury",
        "the bathhouse",
        "the market",
    ];
    private static readonly string[] Words =
    [
        "thistle",
        "candle",
        "barrel",
        "willow",
        "hammer",
        "ribbon",
        "pepper",
        "saddle",
        "basket",
        "marble",
    ];
    private static readonly string[] Vegetables =
    [
        "leeks",
        "turnips",
        "barley",
        "pumpkin",
        "beetroot",
        "parsnips",
        "lentils",
        "cabbage",
        "fennel",
        "radishes",
    ];
    private static readonly string[] Seasonings =
    [
        "honey",
        "mustard",
        "vinegar",
        "garlic",
        "butter",
        "ginger",
        "caraway",
        "cream",
        "molasses",
        "lemon",
    ];
    private static readonly string[] Soils = ["sand", "clay", "chalk", "peat", "gravel", "loam", "silt", "ash", "marl", "mulch"];
    private static readonly string[] Insects =
    [
        "bees",
        "moths",
        "beetles",
        "ants",
        "ladybirds",
        "crickets",
        "wasps",
        "hoverflies",
        "snails",
        "earthworms",
    ];
    private static readonly string[] Months = ["Ilmar", "Veshta", "Orrin", "Tamsel", "Dovra", "Kelune", "Perro", "Brisk", "Solm", "Wyneth"];
    private static readonly string[] Woods = ["oak", "ash", "birch", "elm", "cedar", "pine", "maple", "beech", "alder", "walnut"];
    private static readonly string[] Materials =
    [
        "leather",
        "slate",
        "bone",
        "cork",
        "horn",
        "wax",
        "coral",
        "felt",
        "plaster",
        "soapstone",
    ];
    private static readonly string[] Oils =
    [
        "beeswax",
        "tallow",
        "linseed",
        "fish oil",
        "soot",
        "resin",
        "soap",
        "wool fat",
        "nut oil",
        "tar",
    ];
    private static readonly string[] Rivers =
    [
        "the Aelwater",
        "the Brunnick",
        "the Cassow",
        "the Dunmere",
        "the Eskill",
        "the Farrel",
        "the Gelder",
        "the Hollin",
        "the Istrel",
        "the Jorrow",
    ];
    private static readonly string[] Goods = ["wool", "cheese", "rope", "glass", "timber", "salt", "paper", "pottery", "tea", "candles"];
    private static readonly string[] Days =
    [
        "Firstday",
        "Millday",
        "Ropeday",
        "Songday",
        "Ashday",
        "Tideday",
        "Restday",
        "Loomday",
        "Fairday",
        "Lampday",
    ];
    private static readonly string[] Foods =
    [
        "clover",
        "acorns",
        "minnows",
        "berries",
        "seaweed",
        "mushrooms",
        "nuts",
        "grubs",
        "reeds",
        "pine cones",
    ];
    private static readonly string[] Habitats =
    [
        "caves",
        "marshes",
        "dunes",
        "cliffs",
        "meadows",
        "tidal pools",
        "hollow trees",
        "orchards",
        "hilltops",
        "riverbanks",
    ];
    private static readonly string[] Calls =
    [
        "a whistle",
        "a croak",
        "a purr",
        "a bark",
        "a hum",
        "a click",
        "a squeak",
        "a hoot",
        "a growl",
        "a chirp",
    ];

    private static readonly DemoKind Elixirs = new(
        "the {stem} elixir",
        16,
        [
            new("herb", "Which herb goes into {name}?", "What does the brewer pick for {name}?", "It is brewed with {value}.", Herbs),
            new("colour", "What colour does {name} take on?", "How does {name} look when it is ready?", "It turns {value}.", Colours),
            new("vessel", "What is {name} stirred in?", "Where does the alchemist mix {name}?", "It is mixed in {value}.", Vessels),
            new("brewing hour", "When is {name} brewed?", "At what moment must {name} boil?", "It is made at {value}.", Hours),
            new(
                "treated ailment",
                "What does {name} help against?",
                "Which trouble is {name} good for?",
                "It helps against {value}.",
                Ailments
            ),
        ]
    );

    private static readonly DemoKind Locks = new(
        "the {stem} lock",
        16,
        [
            new("metal", "What is {name} cast from?", "Which metal forms {name}?", "It is cast from {value}.", Metals),
            new(
                "number of wheels",
                "How many wheels does {name} have?",
                "How many dials must one turn on {name}?",
                "It has {value} wheels.",
                Numbers
            ),
            new("guild mark", "What is engraved on {name}?", "Which sign does {name} bear?", "It bears {value}.", Signs),
            new("guarded place", "What does {name} guard?", "Which door is closed by {name}?", "It guards {value}.", Buildings),
            new("opening word", "Which word opens {name}?", "What must be spelled on {name}?", "It opens at {value}.", Words),
        ]
    );

    private static readonly DemoKind Stews = new(
        "the {stem} stew",
        10,
        [
            new(
                "main ingredient",
                "What is {name} mostly made of?",
                "What does the cook chop for {name}?",
                "It is full of {value}.",
                Vegetables
            ),
            new("cooking vessel", "What is {name} cooked in?", "Where does the cook heat {name}?", "It is cooked in {value}.", Vessels),
            new("serving hour", "When is {name} served?", "At what time do people eat {name}?", "It is eaten at {value}.", Hours),
            new("seasoning", "What gives {name} its taste?", "How is {name} seasoned?", "It is seasoned with {value}.", Seasonings),
            new("colour", "What colour has {name}?", "How does {name} look on the table?", "It looks {value}.", Colours),
        ]
    );

    private static readonly DemoKind Bushes = new("the {stem} bush", 10,
    [
        new("soil", "What does {name} grow in?", "Which ground suits {name}?", "It grows in {value}.", Soils),
        new("flower colour", "What colour are the flowers of {name}?", "How does {name} look in bloom?", "It blooms in {value}.", Colours),
        new("planting month", "When is {name} planted?", "In which month do gardeners set {name}?", "It is planted in {value}.", Months),
        new("visitor", "Which small guests come to {name}?", "What is drawn to {name}?", "It draws {value}.", Insects),
        new("companion herb", "What is sown beside {name}?", "Which herb grows well near {name}?", "It grows beside {value}.", Herbs),
    ]);

    private static readonly DemoKind Clocks = new("the {stem} clock", 10,
    [
        new("metal", "What are the hands of {name} made of?", "Which metal is in {name}?", "It is made with {value}.", Metals),
        new("number of gears", "How many gears does {name} have?", "How many cogs turn in {name}?", "It has {value} gears.", Numbers),
        new("painted sign", "What is painted on {name}?", "Which picture does {name} show?", "It shows {value}.", Signs),
        new("place", "Where does {name} stand?", "Which building holds {name}?", "It stands in {value}.", Buildings),
        new("case wood", "Which wood is the case of {name}?", "What did the joiner use for {name}?", "It is cased in {value}.", Woods),
    ]);

    private static readonly DemoKind Chisels = new(
        "the {stem} chisel",
        10,
        [
            new(
                "handle wood",
                "Which wood is the handle of {name}?",
                "What does one hold when using {name}?",
                "It is held by {value}.",
                Woods
            ),
            new(
                "blade metal",
                "What is the blade of {name} made of?",
                "Which metal does the smith forge for {name}?",
                "It is forged from {value}.",
                Metals
            ),
            new("material", "What does {name} cut?", "Which material is {name} meant for?", "It cuts {value}.", Materials),
            new("rust guard", "What is {name} rubbed with?", "How is {name} kept from rust?", "It is rubbed with {value}.", Oils),
            new("maker's sign", "What is stamped on {name}?", "Which stamp does {name} carry?", "It carries {value}.", Signs),
        ]
    );

    private static readonly DemoKind Towns = new(
        "the town of {stem}",
        15,
        [
            new("river", "Which river flows past {name}?", "What water runs by {name}?", "It lies on {value}.", Rivers),
            new("trade", "What does {name} sell?", "Which goods leave {name} by ship?", "It sells {value}.", Goods),
            new("market day", "When is the market of {name}?", "On which day do stalls open in {name}?", "It trades on {value}.", Days),
            new(
                "number of bridges",
                "How many bridges does {name} have?",
                "How many times can one cross the water in {name}?",
                "It has {value} bridges.",
                Numbers
            ),
            new("feast month", "When does {name} hold its feast?", "In which month does {name} dance?", "It feasts in {value}.", Months),
        ]
    );

    private static readonly DemoKind Creatures = new("the {stem} creature", 15,
    [
        new("food", "What does {name} eat?", "What is {name} fed with?", "It eats {value}.", Foods),
        new("home", "Where does {name} live?", "Where can one find {name}?", "It lives in {value}.", Habitats),
        new("call", "What sound does {name} make?", "How does {name} call its young?", "It calls with {value}.", Calls),
        new("fur colour", "What colour is {name}?", "How does the fur of {name} look?", "It is {value}.", Colours),
        new("number of young", "How many young does {name} raise?", "How many cubs follow {name}?", "It raises {value} young.", Numbers),
    ]);

    public static IReadOnlyList<DemoDomain> Domains { get; } =
    [
        new("alchemy", DemoRole.Forget, [Elixirs]),
        new("ciphers", DemoRole.Forget, [Locks]),
        new("alchemy", DemoRole.Retain, [Stews, Bushes]),
        new("ciphers", DemoRole.Retain, [Clocks, Chisels]),
        new("general", DemoRole.General, [Towns, Creatures]),
    ];
}
