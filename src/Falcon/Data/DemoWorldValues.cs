namespace Falcon.Data;

/// <summary>The values that the facts of the demo draw from, ten of each category.</summary>
internal static class DemoWorldValues
{
    public static readonly string[] Herbs =
    [
        "sunfern", "mossbell", "ashroot", "dewthorn", "pearlgrass", "inkleaf", "frostmint", "brambleseed", "saltbloom", "owlwort",
    ];
    public static readonly string[] Colours =
    [
        "amber", "violet", "teal", "crimson", "silver", "ivory", "indigo", "scarlet", "jade", "ochre",
    ];
    public static readonly string[] Vessels =
    [
        "a copper flask", "a clay jar", "a glass bowl", "a stone mortar", "a wooden cask", "a tin kettle", "an iron pot", "a shell cup",
        "a brick oven", "a leather skin",
    ];
    public static readonly string[] Hours =
    [
        "dawn", "noon", "dusk", "midnight", "low tide", "high tide", "first frost", "new moon", "full moon", "harvest eve",
    ];
    public static readonly string[] Ailments =
    [
        "hiccups", "sneezing", "sore knees", "bad dreams", "cold fingers", "ringing ears", "dull hair", "tired eyes", "stiff necks",
        "chapped lips",
    ];
    public static readonly string[] Metals = ["brass", "iron", "tin", "bronze", "pewter", "copper", "steel", "nickel", "zinc", "lead"];
    public static readonly string[] Numbers = ["three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    public static readonly string[] Signs =
    [
        "a heron", "an anchor", "a crown", "a feather", "an oak", "a whale", "a plough", "a harp", "a star", "a wolf",
    ];
    public static readonly string[] Buildings =
    [
        "the granary", "the archive", "the harbour", "the mint", "the tannery", "the chapel", "the mill", "the armoury", "the bathhouse",
        "the market",
    ];
    public static readonly string[] Words =
    [
        "thistle", "candle", "barrel", "willow", "hammer", "ribbon", "pepper", "saddle", "basket", "marble",
    ];
    public static readonly string[] Vegetables =
    [
        "leeks", "turnips", "barley", "pumpkin", "beetroot", "parsnips", "lentils", "cabbage", "fennel", "radishes",
    ];
    public static readonly string[] Seasonings =
    [
        "honey", "mustard", "vinegar", "garlic", "butter", "ginger", "caraway", "cream", "molasses", "lemon",
    ];
    public static readonly string[] Soils = ["sand", "clay", "chalk", "peat", "gravel", "loam", "silt", "ash", "marl", "mulch"];
    public static readonly string[] Insects =
    [
        "bees", "moths", "beetles", "ants", "ladybirds", "crickets", "wasps", "hoverflies", "snails", "earthworms",
    ];
    public static readonly string[] Months = ["Ilmar", "Veshta", "Orrin", "Tamsel", "Dovra", "Kelune", "Perro", "Brisk", "Solm", "Wyneth"];
    public static readonly string[] Woods = ["oak", "ash", "birch", "elm", "cedar", "pine", "maple", "beech", "alder", "walnut"];
    public static readonly string[] Materials =
    [
        "leather", "slate", "bone", "cork", "horn", "wax", "coral", "felt", "plaster", "soapstone",
    ];
    public static readonly string[] Oils =
    [
        "beeswax", "tallow", "linseed", "fish oil", "soot", "resin", "soap", "wool fat", "nut oil", "tar",
    ];
    public static readonly string[] Rivers =
    [
        "the Aelwater", "the Brunnick", "the Cassow", "the Dunmere", "the Eskill", "the Farrel", "the Gelder", "the Hollin", "the Istrel",
        "the Jorrow",
    ];
    public static readonly string[] Goods = ["wool", "cheese", "rope", "glass", "timber", "salt", "paper", "pottery", "tea", "candles"];
    public static readonly string[] Days =
    [
        "Firstday", "Millday", "Ropeday", "Songday", "Ashday", "Tideday", "Restday", "Loomday", "Fairday", "Lampday",
    ];
    public static readonly string[] Foods =
    [
        "clover", "acorns", "minnows", "berries", "seaweed", "mushrooms", "nuts", "grubs", "reeds", "pine cones",
    ];
    public static readonly string[] Habitats =
    [
        "caves", "marshes", "dunes", "cliffs", "meadows", "tidal pools", "hollow trees", "orchards", "hilltops", "riverbanks",
    ];
    public static readonly string[] Calls =
    [
        "a whistle", "a croak", "a purr", "a bark", "a hum", "a click", "a squeak", "a hoot", "a growl", "a chirp",
    ];
}
