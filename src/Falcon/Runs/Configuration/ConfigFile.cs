using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Falcon.Methods.Terms;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>
/// Reads and writes run files: JSON with comments and trailing commas, camelCase keys, enums as camelCase strings.
/// A value comes from, later ones winning: the record's default, the file, <c>--set KEY=VALUE</c>. An unknown key, a key that occurs twice,
/// a value of the wrong type and a missing value are errors.
/// </summary>
public static class ConfigFile
{
    private static (int Version, JsonSerializerOptions Options) _options = (-1, null!);

    /// <summary>The form of run files. Made again when a program has registered further kinds of terms.</summary>
    internal static JsonSerializerOptions Options
    {
        get
        {
            var version = TermKinds.Version;
            if (_options.Version != version) _options = (version, MakeOptions());
            return _options.Options;
        }
    }

    private static JsonSerializerOptions MakeOptions() =>
        new()
        {
            PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
            Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false) },
            RespectNullableAnnotations = true,
            RespectRequiredConstructorParameters = true,
            UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
            AllowOutOfOrderMetadataProperties = true,
            IgnoreReadOnlyProperties = true,
            WriteIndented = true,
            NewLine = "\n",
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
            TypeInfoResolver = new DefaultJsonTypeInfoResolver { Modifiers = { NameKinds } },
        };

    // A list of terms holds records of several types, told apart by their kind.
    private static void NameKinds(JsonTypeInfo type)
    {
        if (type.Type.BaseType != typeof(Term)) return;
        var kinds = TermKinds.Of(type.Type);
        if (kinds.Count == 0) return;
        type.PolymorphismOptions = new JsonPolymorphismOptions { TypeDiscriminatorPropertyName = TermLists.Kind };
        foreach (var (name, term) in kinds) type.PolymorphismOptions.DerivedTypes.Add(new JsonDerivedType(term, name));
    }

    /// <summary>The configuration of a run. That of <c>unlearn</c>, with its preset: <see cref="UnlearnConfig.Read"/>.</summary>
    /// <typeparam name="T">An immutable record whose defaults stand on its constructor parameters or init properties.</typeparam>
    /// <param name="path">The run file; null for the defaults alone.</param>
    /// <param name="sets">
    /// Overrides such as <c>optimizer.learningRate=1e-4</c>, applied in order. The value is JSON where it can be read as such, else text;
    /// for a key that holds text it is taken as it stands.
    /// </param>
    /// <param name="defaults">
    /// What stands where neither file nor override says anything, such as a preset; null for the record's own defaults.
    /// </param>
    /// <param name="leftOut">A key at the top of the file that is not read; null reads all.</param>
    /// <exception cref="UserInputException">
    /// The file or an override cannot be used; the message names file, line, key and remedy.
    /// </exception>
    public static T Read<T>(string? path, IReadOnlyList<string> sets, T? defaults = null, string? leftOut = null)
        where T : class
    {
        var tree = path is null ? new ConfigTree("configuration", []) : ConfigTree.Read(path);
        if (leftOut is not null) tree.Root.Remove(leftOut);
        foreach (var set in sets) ConfigOverride.Apply(tree, set, typeof(T));
        ConfigCheck.Check(tree, tree.Root, Options.GetTypeInfo(typeof(T)), "");
        try
        {
            var root = defaults is null
                ? TermLists.AsLists(tree.Root, Merge)
                : Merge(JsonSerializer.SerializeToNode(defaults, Options)!.AsObject(), tree.Root);
            return root.Deserialize<T>(Options)!;
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

    // Objects are merged key by key, terms by their kinds; everything else, lists included, is replaced as a whole.
    private static JsonObject Merge(JsonObject below, JsonObject above)
    {
        foreach (var (key, value) in above)
            below[key] = (value, below[key]) switch
            {
                (JsonObject upper, JsonObject lower) => Merge((JsonObject)lower.DeepClone(), upper),
                (JsonObject upper, JsonArray terms) => TermLists.Merge(terms, upper, Merge),
                _ => value?.DeepClone(),
            };
        return below;
    }

    /// <summary>
    /// The effective configuration as it is kept beside a run: every value, indented, ending in a line feed. Reading it back gives an equal
    /// record; numbers round-trip.
    /// </summary>
    public static string Write<T>(T config) => JsonSerializer.Serialize(config, Options) + "\n";

    /// <summary>Whether a run file has a key at its top.</summary>
    /// <exception cref="UserInputException">The file cannot be read.</exception>
    public static bool Holds(string path, string key) => ConfigTree.Read(path).Root.ContainsKey(key);
}
