using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>
/// Reads and writes run files: JSON with comments and trailing commas, camelCase keys, enums as camelCase strings.
/// A value comes from, later ones winning: the record's default, the file, <c>--set KEY=VALUE</c>. An unknown key, a key that occurs twice,
/// a value of the wrong type and a missing value are errors.
/// </summary>
public static class ConfigFile
{
    internal static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false) },
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        IgnoreReadOnlyProperties = true,
        WriteIndented = true,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        TypeInfoResolver = new DefaultJsonTypeInfoResolver(),
    };

    /// <summary>The configuration of a run.</summary>
    /// <typeparam name="T">An immutable record whose defaults stand on its constructor parameters or init properties.</typeparam>
    /// <param name="path">The run file; null for the defaults alone.</param>
    /// <param name="sets">
    /// Overrides such as <c>optimizer.learningRate=1e-4</c>, applied in order. The value is JSON where it can be read as such, else text;
    /// for a key that holds text it is taken as it stands.
    /// </param>
    /// <param name="defaults">
    /// What stands where neither file nor override says anything, such as a preset; null for the record's own defaults.
    /// </param>
    /// <exception cref="UserInputException">
    /// The file or an override cannot be used; the message names file, line, key and remedy.
    /// </exception>
    public static T Read<T>(string? path, IReadOnlyList<string> sets, T? defaults = null)
        where T : class
    {
        var tree = path is null ? new ConfigTree("configuration", []) : ConfigTree.Read(path);
        foreach (var set in sets) ConfigOverride.Apply(tree, set, typeof(T));
        ConfigCheck.Check(tree, tree.Root, Options.GetTypeInfo(typeof(T)), "");
        try
        {
            return (
                defaults is null ? tree.Root : Merge(JsonSerializer.SerializeToNode(defaults, Options)!.AsObject(), tree.Root)
            ).Deserialize<T>(Options)!;
        }
        catch (JsonException error)
        {
            throw new UserInputException($"{path ?? "configuration"}: {error.Message}", error);
        }
        catch (ArgumentException error)
        {
            throw new UserInputException($"{path ?? "configuration"}: {error.Message}", error);
        }
    }

    // Objects are merged key by key; everything else, lists included, is replaced as a whole.
    private static JsonObject Merge(JsonObject below, JsonObject above)
    {
        foreach (var (key, value) in above)
            below[key] =
                value is JsonObject upper && below[key] is JsonObject lower
                    ? Merge((JsonObject)lower.DeepClone(), upper)
                    : value?.DeepClone();
        return below;
    }

    /// <summary>
    /// The effective configuration as it is kept beside a run: every value, indented, ending in a line feed. Reading it back gives an equal
    /// record; numbers round-trip.
    /// </summary>
    public static string Write<T>(T config) => JsonSerializer.Serialize(config, Options) + "\n";
}
