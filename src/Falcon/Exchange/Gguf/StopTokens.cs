using System.Text.Json;
using Falcon.ChatTemplates;
using Falcon.Data;
using Falcon.Models.Families;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// The tokens that end an answer: the tokenizer's end token, those of config.json and generation_config.json, and the one that the chat
/// template writes behind an answer, which may be none of the others.
/// </summary>
/// <param name="End">The tokenizer's end token, else the first that the configuration names; null for none.</param>
/// <param name="TurnEnd">The token behind an answer in the chat template; null for none.</param>
/// <param name="All">All of them, the end token first.</param>
internal sealed record StopTokens(int? End, int? TurnEnd, IReadOnlyList<int> All)
{
    /// <summary>Finds them.</summary>
    /// <param name="directory">The model.</param>
    /// <param name="config">Its configuration.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    public static StopTokens Of(string directory, ModelConfig config, HfTokenizer tokenizer)
    {
        int[] configured = [.. Generation(Path.Combine(directory, "generation_config.json")), .. config.EosTokenIds];
        var turn = BehindAnswer(tokenizer);
        int? end = tokenizer.EosId ?? (configured.Length > 0 ? configured[0] : null);
        int?[] all = [end, turn, .. configured.Select(id => (int?)id)];
        return new StopTokens(end, turn, [.. all.OfType<int>().Distinct()]);
    }

    private static int? BehindAnswer(HfTokenizer tokenizer)
    {
        const string answer = "Forty-two.";
        if (tokenizer.ChatTemplate is null)
            return null;
        string text;
        try
        {
            text = tokenizer.RenderChat([new ChatMessage("user", "How many?"), new ChatMessage("assistant", answer)], false);
        }
        catch (ChatTemplateException)
        {
            return null; // it wants other roles
        }

        var at = text.LastIndexOf(answer, StringComparison.Ordinal);
        if (at < 0)
            return null;
        var behind = tokenizer.Encode(text[(at + answer.Length)..], addSpecialTokens: false);
        return behind.Where(id => IsWhole(tokenizer, id)).Select(id => (int?)id).FirstOrDefault();
    }

    // A token that is found in a text before words are split.
    private static bool IsWhole(HfTokenizer tokenizer, int id) => tokenizer.AddedTokens.Any(token => token.Id == id);

    private static int[] Generation(string path)
    {
        if (!File.Exists(path))
            return [];
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (!document.RootElement.TryGetProperty("eos_token_id", out var ids))
                return [];
            return ids.ValueKind switch
            {
                JsonValueKind.Number => [ids.GetInt32()],
                JsonValueKind.Array => [.. ids.EnumerateArray().Select(id => id.GetInt32())],
                _ => [],
            };
        }
        catch (Exception error) when (error is JsonException or FormatException or InvalidOperationException)
        {
            throw new UserInputException(
                $"{path}: eos_token_id cannot be read: {error.Message} Restore the file from the checkpoint.",
                error
            );
        }
    }
}
