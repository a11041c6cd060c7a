using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>
/// Short paragraphs about everyday life on the islands, from a small grammar, to measure perplexity. They state none of the facts.
/// </summary>
internal static class DemoWorldProse
{
    private static readonly Dictionary<string, string[]> Grammar = new()
    {
        ["paragraph"] =
        [
            "{opening} {weather} {closing}",
            "{weather} {opening} {closing}",
            "{opening} {talk} {closing}",
            "{weather} {talk} {opening}",
        ],
        ["opening"] =
        [
            "{when} the {folk} of the {place} {work}.",
            "{when} two {folk} {work} near the {place}.",
            "The {folk} {work} while the {animal} slept by the {place}.",
            "An old {animal} watched the {folk}, who {work} {when2}.",
            "Many {folk} {work} {when2}, and the {place} was busy.",
        ],
        ["weather"] =
        [
            "A {mild} {wind} came over the {place}, and {effect}.",
            "The {wind} was {mild} {when2}, so {effect}.",
            "There was {mild} {wind} from the {side}, but {effect}.",
            "Nobody minded the {wind} from the {side}.",
        ],
        ["talk"] =
        [
            "They spoke of the {place} and of {matter}.",
            "A child asked about {matter}, and the {folk} laughed.",
            "Someone sang of {matter} until the {wind} drowned the song.",
            "The talk was of {matter}, as it always is {when2}.",
        ],
        ["closing"] =
        [
            "Later the {folk} went home along the {side} road.",
            "Nothing else happened at the {place} that day.",
            "In the end there was soup for everyone.",
            "The {animal} got the last piece of bread.",
            "By nightfall the {place} was quiet again.",
            "So they agreed to meet again {when2}.",
        ],
        ["when"] =
        [
            "In spring",
            "In summer",
            "In autumn",
            "In winter",
            "On quiet mornings",
            "After the long rain",
            "Before the feast",
            "Every evening",
        ],
        ["when2"] =
        [
            "in spring",
            "in summer",
            "in autumn",
            "in winter",
            "on quiet mornings",
            "after the long rain",
            "before the feast",
            "every evening",
        ],
        ["folk"] = ["fishers", "weavers", "shepherds", "bakers", "ferrymen", "potters", "beekeepers", "carpenters", "pupils", "millers"],
        ["work"] =
        [
            "mended the nets",
            "counted the sheep",
            "painted the boats",
            "carried baskets uphill",
            "swept the steps",
            "dried apples",
            "repaired the fence",
            "washed the sails",
            "gathered driftwood",
            "stacked the hay",
        ],
        ["place"] =
        [
            "north shore",
            "old quay",
            "upper valley",
            "village green",
            "stone pier",
            "long meadow",
            "lower field",
            "hill path",
            "ferry house",
            "well yard",
        ],
        ["animal"] = ["dog", "goat", "donkey", "cat", "goose", "mule", "hen", "pony"],
        ["wind"] = ["wind", "rain", "mist", "breeze", "drizzle", "storm", "fog", "shower"],
        ["mild"] = ["soft", "cold", "sudden", "steady", "gentle", "bitter", "warm", "thin"],
        ["side"] = ["north", "south", "east", "west"],
        ["effect"] =
        [
            "the boats stayed in",
            "the washing came off the lines",
            "the shutters were closed",
            "the children ran indoors",
            "the fires were lit early",
            "the path turned to mud",
            "the bread rose slowly",
            "no bell was heard",
        ],
        ["matter"] =
        [
            "the price of flour",
            "last year's flood",
            "the new roof",
            "a lost glove",
            "the neighbour's wedding",
            "the broken cart",
            "the way to the ferry",
            "a song with no ending",
        ],
    };

    /// <summary>Distinct paragraphs.</summary>
    public static IReadOnlyList<string> Paragraphs(int count, ulong seed)
    {
        var random = new SeededRandom(seed, "demo prose");
        var paragraphs = new HashSet<string>();
        var ordered = new List<string>();
        while (ordered.Count < count)
            if (Expand("{paragraph}", random) is var text && paragraphs.Add(text)) ordered.Add(text);
        return ordered;
    }

    private static string Expand(string text, SeededRandom random)
    {
        while (text.IndexOf('{', StringComparison.Ordinal) is >= 0 and var open)
        {
            var close = text.IndexOf('}', open);
            var choices = Grammar[text[(open + 1)..close]];
            text = text[..open] + choices[random.Next(choices.Length)] + text[(close + 1)..];
        }
        return text;
    }
}
