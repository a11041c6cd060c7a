using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Models.Families;

/// <summary>The <c>generation_config.json</c> beside a <c>config.json</c>; only what ends a text is read.</summary>
internal static class GenerationConfig
{
    private const string FileName = "generation_config.json";

    /// <summary>The tokens that end a text, <c>eos_token_id</c>: a number, a list, or nothing. Empty without a file.</summary>
    /// <exception cref="UnsupportedCheckpointException">The file is no JSON object, or the key holds something else.</exception>
    public static IReadOnlyList<int> EosTokenIds(string directory)
    {
        var path = Path.Combine(directory, FileName);
        if (!File.Exists(path)) return [];
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind != JsonValueKind.Object) throw new JsonException("it is no object");
            if (!document.RootElement.TryGetProperty("eos_token_id", out var value) || value.ValueKind == JsonValueKind.Null) return [];
            var ids = value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : new[] { value };
            return
            [
                .. ids.Select(id =>
                    id.ValueKind == JsonValueKind.Number && id.TryGetInt32(out var number) && number >= 0
                        ? number
                        : throw new JsonException($"eos_token_id holds {id.GetRawText()}, which is no token id")
                ),
            ];
        }
        catch (JsonException error)
        {
            throw new UnsupportedCheckpointException(
                $"{path}: {error.Message}; restore the file from the original checkpoint, or remove it.",
                error
            );
        }
    }
}
