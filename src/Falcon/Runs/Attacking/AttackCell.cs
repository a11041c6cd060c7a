using System.Text.Json;
using Falcon.Attacks.Protocol;
using Falcon.Runtime;

namespace Falcon.Runs.Attacking;

/// <summary>A finished attack on one model, as it is kept on disk.</summary>
/// <param name="Key">Everything the numbers depend on; a cell with another key is not used.</param>
/// <param name="Scores">What the attack got.</param>
/// <param name="Seconds">Wall-clock time.</param>
internal sealed record AttackCell(string Key, AttackScores Scores, double Seconds)
{
    /// <summary>The cell of a file; null where there is none with this key.</summary>
    public static AttackCell? Find(string path, string key)
    {
        if (!File.Exists(path)) return null;
        try
        {
            return JsonSerializer.Deserialize<AttackCell>(File.ReadAllText(path), ResultJson.LineOptions) is { } cell && cell.Key == key
                ? cell
                : null;
        }
        catch (JsonException)
        {
            return null; // not ours: it is measured again and written anew
        }
    }

    /// <summary>Writes the cell, whole or not at all.</summary>
    public void Write(string path) => OutputFile.Write(path, JsonSerializer.Serialize(this, ResultJson.LineOptions) + "\n");
}
