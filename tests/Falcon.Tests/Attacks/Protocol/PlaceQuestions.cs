using System.Text.Json;

namespace Falcon.Tests.Attacks.Protocol;

/// <summary>Files of multiple-choice questions about invented subjects, one a question.</summary>
internal static class PlaceQuestions
{
    /// <summary>Twelve subjects.</summary>
    public static readonly string[] Subjects =
    [
        "Arbel",
        "Borin",
        "Cadvel",
        "Dorrin",
        "Elmar",
        "Fendel",
        "Gorlan",
        "Hestra",
        "Ilmek",
        "Jorund",
        "Kelda",
        "Lorvin",
    ];

    /// <summary>Three places, the right one going round.</summary>
    public static readonly string[] Places = ["sea", "hill", "wood"];

    /// <summary>Writes the file and gives its path.</summary>
    public static string Write(string path, IEnumerable<string> subjects)
    {
        File.WriteAllLines(
            path,
            subjects.Select(
                (subject, i) =>
                    JsonSerializer.Serialize(
                        new
                        {
                            question = $"Where is {subject}?",
                            choices = Places.Select(place => $"By the {place}.").ToArray(),
                            answer = i % Places.Length,
                        }
                    )
            )
        );
        return path;
    }
}
