using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Falcon.Runtime;

/// <summary>
/// How Falcon writes its result files and <c>--json</c> objects: camelCase names, enums as words, indented, letters of every script as they
/// are.
/// </summary>
public static class ResultJson
{
    /// <summary>
    /// Indented, for whole files. A number that is not finite is refused (<see cref="ArgumentException"/>): a failed estimate is null,
    /// never a number.
    /// </summary>
    public static JsonSerializerOptions Options { get; } = Create(indented: true);

    /// <summary>The same on one line, for JSON-lines files.</summary>
    public static JsonSerializerOptions LineOptions { get; } = Create(indented: false);

    private static JsonSerializerOptions Create(bool indented)
    {
        var options = new JsonSerializerOptions(JsonSerializerDefaults.Web)
        {
            WriteIndented = indented,
            NewLine = "\n",
            NumberHandling = JsonNumberHandling.Strict,
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
            Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
        };
        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }
}
