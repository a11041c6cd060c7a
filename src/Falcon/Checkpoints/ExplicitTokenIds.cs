using System.Globalization;
using System.Text.Json;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Checkpoints;

/// <summary>
/// Names <c>bos_token_id</c> and <c>eos_token_id</c> in the config.json of a copied model where the source leaves them out. The Hugging
/// Face library then assumes an id of the family (often 1, whatever that token is); the copy says which tokens Falcon read, or null.
/// </summary>
internal static class ExplicitTokenIds
{
    /// <summary>Adds the missing keys; every other byte of the file stays. A file that names both is not touched.</summary>
    /// <param name="directory">The copied model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="log">Hears what was added.</param>
    public static void Complete(string directory, HfTokenizer tokenizer, IRunLog log)
    {
        var path = Path.Combine(directory, "config.json");
        var text = File.ReadAllText(path);
        using var document = JsonDocument.Parse(text);
        var root = document.RootElement;
        var missing = new[] { (Key: "bos_token_id", Id: tokenizer.BosId), (Key: "eos_token_id", Id: tokenizer.EosId) }
            .Where(item => !Has(root, item.Key))
            .Select(item => $"\"{item.Key}\": {item.Id?.ToString(CultureInfo.InvariantCulture) ?? "null"}")
            .ToList();
        if (missing.Count == 0)
            return;
        var open = text.IndexOf('{', StringComparison.Ordinal) + 1;
        var first = open;
        while (first < text.Length && char.IsWhiteSpace(text[first]))
            first++;
        var space = text[open..first]; // the line end and indentation before the first key
        var added = string.Concat(missing.Select(item => $"{space}{item},"));
        File.WriteAllText(path, text[..open] + (root.EnumerateObject().Any() ? added : added[..^1]) + text[open..]);
        log.Information($"config.json of the source leaves out what the copy says: {string.Join(", ", missing)}");
    }

    // A model with images may name them in the part that describes the text model.
    private static bool Has(JsonElement root, string key) =>
        root.TryGetProperty(key, out _) || (root.TryGetProperty("text_config", out var text) && text.TryGetProperty(key, out _));
}
