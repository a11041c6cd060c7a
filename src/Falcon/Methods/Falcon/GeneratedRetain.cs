using System.Globalization;
using System.Text.RegularExpressions;
using Falcon.Engine;
using Falcon.Models;
using Falcon.Models.Generation;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Methods.Falcon;

/// <summary>
/// Retain texts that the unchanged model writes itself. A run preserves only what its retain texts show, and no retain set covers all that
/// a model knows. So the model is sampled at temperature 1, starting from the head of the retain texts' template or from the first words of
/// one of them. It then writes about what it knows in the form of those texts. Texts about the forget set and copies of retain texts are
/// left out. After self-generated rehearsal (Huang et al., arXiv 2403.01244) and instructions that a model writes from the head of its
/// template (Xu et al., arXiv 2406.08464). Extension, not in the paper.
/// </summary>
public static partial class GeneratedRetain
{
    private const int LongestOpening = 4;
    private const int BatchSize = 64;
    private const int DrawnPerText = 8;

    /// <summary>
    /// Samples texts until enough distinct ones are found. A text is left out if it uses a word or a pair of adjacent words that
    /// <paramref name="forget"/> has and no text of <paramref name="retain"/> has. About eight times <paramref name="count"/> are drawn at
    /// most.
    /// </summary>
    /// <param name="model">The whole unchanged model.</param>
    /// <param name="retain">Retain texts, whose first tokens open the samples and whose longest bounds their length.</param>
    /// <param name="forget">Forget texts of all domains.</param>
    /// <param name="count">How many are wanted.</param>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="log">Progress.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>Token ids; the end-of-text token stands where the model wrote it.</returns>
    /// <exception cref="UserInputException">Fewer than a tenth of the wanted texts were found.</exception>
    public static IReadOnlyList<int[]> Make(
        CausalLM model,
        IReadOnlyList<int[]> retain,
        IEnumerable<int[]> forget,
        int count,
        ulong seed,
        HfTokenizer tokenizer,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        var telling = forget.SelectMany(text => Expressions(text, tokenizer)).ToHashSet();
        telling.ExceptWith(retain.SelectMany(text => Expressions(text, tokenizer)));
        var openings = Openings(retain);
        var stops = tokenizer.StopIds(model.Config.EosTokenIds);
        var end = EndOf(retain, stops);
        var longest = retain.Max(text => text.Length);
        var (drawn, dropped) = (0, 0);
        List<int[]> kept = [];
        HashSet<int[]> seen = new(retain, TokenSequence.Comparer); // retain texts that the model has memorised are not new
        for (var round = 0; kept.Count < count && drawn < DrawnPerText * count; round++)
        {
            var random = new SeededRandom(seed, "generated retain texts", round);
            List<int[]> prompts = [.. Enumerable.Range(0, BatchSize).Select(_ => Opening(openings[random.Next(openings.Count)], random))];
            var settings = new GenerationSettings(longest, Temperature: 1, Seed: (long)(random.NextUInt64() >> 1), BatchSize);
            var continued = Generation.Continue(model, prompts, settings, stops, tokenizer.PadId ?? 0, cancellation: cancellation);
            foreach (var (prompt, more) in prompts.Zip(continued))
            {
                drawn++;
                if (more.Length == 0 || kept.Count == count) continue;
                // A text that is cut off at the length limit gets no end-of-text token.
                int[] text =
                    prompt.Length + more.Length >= longest || end is null
                        ? [.. prompt.Concat(more).Take(longest)]
                        : [.. prompt, .. more, end.Value];
                if (Expressions(text, tokenizer).Any(telling.Contains))
                    dropped++;
                else if (seen.Add(text))
                    kept.Add(text);
            }

            log.Progress("retain texts by the model itself", kept.Count, count);
        }

        if (kept.Count * 10 < count)
            throw new UserInputException(
                $"data.generatedRetain: of {drawn} texts that the model wrote {dropped} use words or pairs of words that only the forget "
                    + $"texts have, and {kept.Count} are left of {count} wanted. Give a larger retain set, or set "
                    + "data.generatedRetain to 0."
            );
        log.Information(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{kept.Count} retain texts by the model itself ({drawn} drawn, {dropped} left out because they use words or pairs of "
                    + $"words that only the forget texts have)"
            )
        );
        return kept;
    }

    // The end token of most retain texts: a model has several, and a text of its own should end as those do.
    private static int? EndOf(IReadOnlyList<int[]> retain, HashSet<int> stops) =>
        retain
            .Where(text => stops.Contains(text[^1]))
            .CountBy(text => text[^1])
            .OrderByDescending(one => one.Value)
            .Select(one => (int?)one.Key)
            .FirstOrDefault(stops.Count == 0 ? null : stops.First());

    // An opening is what a text shares with most texts of its kind (the head of a template) plus a few tokens of its own.
    private static List<(int[] Text, int Shared)> Openings(IReadOnlyList<int[]> retain)
    {
        var heads = retain
            .GroupBy(text => text[0])
            .ToDictionary(
                group => group.Key,
                group =>
                {
                    List<int[]> left = [.. group];
                    if (left.Count * 4 < retain.Count)
                        return 0; // no template
                    var shared = 0;
                    while (true)
                    {
                        var next = left.Where(text => text.Length > shared)
                            .GroupBy(text => text[shared])
                            .OrderByDescending(one => one.Count())
                            .ThenBy(one => one.Key)
                            .FirstOrDefault();
                        if (next is null || next.Count() * 10 < left.Count * 9)
                            return shared;
                        left = [.. next];
                        shared++;
                    }
                }
            );
        return [.. retain.Select(text => (text, heads[text[0]]))];
    }

    // About one opening in four is the template's head alone. From there the model also writes texts that begin like no retain text, as
    // often as it learned them.
    private static int[] Opening((int[] Text, int Shared) opening, SeededRandom random)
    {
        var own = opening.Shared > 0 && random.Next(4) == 0 ? 0 : 1 + random.Next(LongestOpening);
        return opening.Text[..Math.Min(opening.Text.Length, opening.Shared + own)];
    }

    // Words and pairs of adjacent words: each part of a name may occur in some retain text although the whole name does not.
    private static IEnumerable<string> Expressions(int[] text, HfTokenizer tokenizer)
    {
        List<string> words =
        [
            .. Word().Matches(tokenizer.Decode(text, skipSpecialTokens: true)).Select(word => word.Value.ToUpperInvariant()),
        ];
        return words.Concat(words.Zip(words.Skip(1), (first, second) => $"{first} {second}"));
    }

    [GeneratedRegex(@"[\p{L}\p{N}]+")]
    private static partial Regex Word();
}
