using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Falcon.Runtime;

/// <summary>
/// The format of result files and <c>--json</c> objects: camelCase names, enums as words, letters of all scripts unescaped.
/// </summary>
public static class ResultJson
{
    /// <summary>
    /// Indented, for whole files. A non-finite number is refused with an <see cref="ArgumentException"/>: a failed estimate is null, never
    /// a number.
    /// </summary>
    public static JsonSerializerOptions Options { get; } = Create(indented: true);

    /// <summary>On one line, for JSON-lines files.</summary>
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
