using static Falcon.Data.DemoWorldValues;

namespace Falcon.Data;

/// <summary>
/// The domains of the invented islands. The retain domains (kitchen and garden beside alchemy, workshop beside ciphers) use the same herbs,
/// colours, metals and places as the forget domains, so that unlearning has to remove the facts and not the vocabulary.
/// </summary>
internal static class DemoWorldKinds
{
    private static readonly DemoKind Elixirs = new("the {stem} elixir", 16,
    [
        new("herb", "Which herb goes into {name}?", "What does the brewer pick for {name}?", "It is brewed with {value}.", Herbs),
        new("colour", "What colour does {name} take on?", "How does {name} look when it is ready?", "It turns {value}.", Colours),
        new("vessel", "What is {name} stirred in?", "Where does the alchemist mix {name}?", "It is mixed in {value}.", Vessels),
        new("brewing hour", "When is {name} brewed?", "At what moment must {name} boil?", "It is made at {value}.", Hours),
        new(
            "treated ailment", "What does {name} help against?",
            "Which trouble is {name} good for?", "It helps against {value}.", Ailments
        ),
    ]);

    private static readonly DemoKind Locks = new("the {stem} lock", 16,
    [
        new("metal", "What is {name} cast from?", "Which metal forms {name}?", "It is cast from {value}.", Metals),
        new(
            "number of wheels", "How many wheels does {name} have?",
            "How many dials must one turn on {name}?", "It has {value} wheels.", Numbers
        ),
        new("guild mark", "What is engraved on {name}?", "Which sign does {name} bear?", "It bears {value}.", Signs),
        new("guarded place", "What does {name} guard?", "Which door is closed by {name}?", "It guards {value}.", Buildings),
        new("opening word", "Which word opens {name}?", "What must be spelled on {name}?", "It opens at {value}.", Words),
    ]);

    private static readonly DemoKind Stews = new("the {stem} stew", 10,
    [
        new(
            "main ingredient", "What is {name} mostly made of?",
            "What does the cook chop for {name}?", "It is full of {value}.", Vegetables
        ),
        new("cooking vessel", "What is {name} cooked in?", "Where does the cook heat {name}?", "It is cooked in {value}.", Vessels),
        new("serving hour", "When is {name} served?", "At what time do people eat {name}?", "It is eaten at {value}.", Hours),
        new("seasoning", "What gives {name} its taste?", "How is {name} seasoned?", "It is seasoned with {value}.", Seasonings),
        new("colour", "What colour has {name}?", "How does {name} look on the table?", "It looks {value}.", Colours),
    ]);

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

    private static readonly DemoKind Chisels = new("the {stem} chisel", 10,
    [
        new("handle wood", "Which wood is the handle of {name}?", "What does one hold when using {name}?", "It is held by {value}.", Woods),
        new(
            "blade metal", "What is the blade of {name} made of?",
            "Which metal does the smith forge for {name}?", "It is forged from {value}.", Metals
        ),
        new("material", "What does {name} cut?", "Which material is {name} meant for?", "It cuts {value}.", Materials),
        new("rust guard", "What is {name} rubbed with?", "How is {name} kept from rust?", "It is rubbed with {value}.", Oils),
        new("maker's sign", "What is stamped on {name}?", "Which stamp does {name} carry?", "It carries {value}.", Signs),
    ]);

    private static readonly DemoKind Towns = new("the town of {stem}", 15,
    [
        new("river", "Which river flows past {name}?", "What water runs by {name}?", "It lies on {value}.", Rivers),
        new("trade", "What does {name} sell?", "Which goods leave {name} by ship?", "It sells {value}.", Goods),
        new("market day", "When is the market of {name}?", "On which day do stalls open in {name}?", "It trades on {value}.", Days),
        new(
            "number of bridges", "How many bridges does {name} have?",
            "How many times can one cross the water in {name}?", "It has {value} bridges.", Numbers
        ),
        new("feast month", "When does {name} hold its feast?", "In which month does {name} dance?", "It feasts in {value}.", Months),
    ]);

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
