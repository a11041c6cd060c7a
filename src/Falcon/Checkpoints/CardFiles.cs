using System.Globalization;

namespace Falcon.Checkpoints;

/// <summary>The model cards of a directory: a new one takes the name README.md, those before it stay under other names.</summary>
internal static class CardFiles
{
    /// <summary>
    /// The first free name for the card of before: README-before.md, README-before-2.md and so on. A chain of runs keeps all.
    /// </summary>
    public static string FreeName(string directory)
    {
        var path = Path.Combine(directory, "README-before.md");
        for (var number = 2; File.Exists(path); number++)
            path = Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"README-before-{number}.md"));
        return path;
    }

    /// <summary>
    /// Puts the last card of before in the place of README.md, or takes README.md away where there is none: the inverse of what a run does.
    /// </summary>
    public static void RestoreBefore(string directory)
    {
        var card = Path.Combine(directory, "README.md");
        string? last = null;
        for (var number = 1; ; number++)
        {
            var name = number == 1 ? "README-before.md" : string.Create(CultureInfo.InvariantCulture, $"README-before-{number}.md");
            if (!File.Exists(Path.Combine(directory, name)))
                break;
            last = Path.Combine(directory, name);
        }

        if (last is not null)
            File.Move(last, card, overwrite: true);
        else
            File.Delete(card);
    }
}
