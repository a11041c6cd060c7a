using System.Globalization;
using System.Text.Json;

namespace Falcon.Tokenization;

/// <summary>
/// Finds which token begins a text, ends it, or pads it. Files of different generations name it in different places: by its text in
/// tokenizer_config.json or special_tokens_map.json, or only by its id in config.json or generation_config.json.
/// </summary>
/// <param name="files">The files.</param>
/// <param name="tokenOf">The token of an id; null for an id that is not in use.</param>
/// <param name="isSpecial">Whether a token is special.</param>
/// <param name="notes">Receives a sentence where a token is found in an unusual place, or not at all.</param>
internal sealed class SpecialTokens(TokenizerFiles files, Func<int, string?> tokenOf, Func<string, bool> isSpecial, List<string> notes)
{
    private static readonly Dictionary<string, string> Meanings = new()
    {
        ["bos_token"] = "begins a text",
        ["eos_token"] = "ends a text",
        ["pad_token"] = "pads a text",
    };

    private readonly Dictionary<string, string?> _found = [];

    /// <summary>
    /// Tokens of the side files that the Hugging Face library adds to those of tokenizer.json, with their flags where given: the named
    /// special tokens, the listed ones, and the special ones of <c>added_tokens_decoder</c>.
    /// </summary>
    public static IEnumerable<TokenizerSection> InSideFiles(TokenizerFiles files)
    {
        var decoder = files.Configuration["added_tokens_decoder"];
        List<(int Id, TokenizerSection Token)> declared =
        [
            .. (decoder.Json.ValueKind == JsonValueKind.Object ? decoder.Members() : [])
                .Where(member => member.Value["special"].Flag(false))
                .Select(member =>
                    (
                        int.TryParse(member.Name, NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : int.MaxValue,
                        member.Value
                    )
                ),
        ];
        foreach (var (_, token) in declared.OrderBy(item => item.Id))
            yield return token;
        foreach (var name in new[] { "bos_token", "eos_token", "unk_token", "pad_token" })
            if (files.SpecialTokenSection(name) is { } section)
                yield return section;
        foreach (var listed in files.ListedTokens())
            yield return listed;
    }

    /// <summary>The text of a special token; null where no file names one.</summary>
    /// <param name="name">Its key, such as <c>eos_token</c>.</param>
    public string? Find(string name) => _found.TryGetValue(name, out var known) ? known : _found[name] = Search(name);

    private string? Search(string name)
    {
        if (files.SpecialToken(name) is { } named)
            return named;
        if (!Meanings.TryGetValue(name, out var meaning))
            return null;
        // A tokenizer that says it has no begin token means that texts begin without one, whatever number config.json carries along.
        if (name == "bos_token" && files.SaysNone(name))
            return null;
        if (files.SpecialTokenId(name) is not { } given)
        {
            if (name == "eos_token")
                notes.Add($"{files.Directory}: no file names the token that {meaning} (eos_token); texts are used without one");
            return null;
        }

        var token = tokenOf(given.Id);
        if (token is not null && isSpecial(token))
        {
            notes.Add(
                FormattableString.Invariant($"{files.Directory}: the token that {meaning} is '{token}', by {given.Place} ({given.Id})")
            );
            return token;
        }

        var what = token is null ? "is no token of the tokenizer" : $"is the ordinary token '{token}'";
        notes.Add(
            FormattableString.Invariant($"{files.Directory}: {given.Place} is {given.Id}, which {what}; ")
                + $"no token counts as the one that {meaning}"
        );
        return null;
    }
}
