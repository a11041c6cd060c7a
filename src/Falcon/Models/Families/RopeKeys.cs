using System.Globalization;

namespace Falcon.Models.Families;

/// <summary>Where a family keeps the settings of its rotation, and what they are when absent.</summary>
/// <param name="Theta">The base of the frequencies.</param>
/// <param name="MayBePartial">Whether a part of the head may be rotated.</param>
/// <param name="Share">That part.</param>
/// <param name="Original">Context length before scaling, where the file keeps it outside the settings (Phi-3).</param>
internal sealed record RopeDefaults(double Theta, bool MayBePartial = false, double Share = 1, int? Original = null)
{
    /// <summary>The names of the base at the top level of the file.</summary>
    public IReadOnlyList<string> ThetaKeys { get; init; } = ["rope_theta"];

    /// <summary>The names of the rotated share at the top level of the file.</summary>
    public IReadOnlyList<string> ShareKeys { get; init; } = ["partial_rotary_factor"];

    /// <summary>The key of the scaling at the top level; null where the scaling does not apply.</summary>
    public string? ScalingKey { get; init; } = "rope_scaling";
}

/// <summary>
/// Finds the settings of the rotation in a <c>config.json</c>. Version 4 of the Hugging Face library has them at the top level
/// (<c>rope_theta</c>, <c>rope_scaling</c>), version 5 in one object <c>rope_parameters</c>, or in one object for each kind of layer. A
/// file with both generations is read where they say the same; otherwise it is refused with both values.
/// </summary>
internal static class RopeKeys
{
    private const string Newer = "rope_parameters";
    private const string Full = "full_attention";
    private const string Sliding = "sliding_attention";

    /// <summary>The rotation of every layer.</summary>
    /// <param name="reader">The file.</param>
    /// <param name="maxPositions">Longest text.</param>
    /// <param name="windows">The window of each layer; layers with a window may have settings of their own.</param>
    /// <param name="full">Where the settings of layers without a window stand in the older form.</param>
    /// <param name="sliding">The same for layers with a window; null where these have no settings of their own.</param>
    public static RopeConfig[] Read(
        ConfigReader reader,
        int maxPositions,
        IReadOnlyList<int?> windows,
        RopeDefaults full,
        RopeDefaults? sliding = null
    )
    {
        var newer = reader.Object(Newer);
        var byKind = newer is not null && (newer.Has(Full) || newer.Has(Sliding) || sliding is not null);
        var ofFull = Of(reader, byKind ? newer!.Object(Full) : newer, $"{Newer}{(byKind ? "." + Full : "")}", maxPositions, full);
        var ofSliding =
            byKind || sliding is not null
                ? Of(reader, byKind ? newer!.Object(Sliding) : null, $"{Newer}.{Sliding}", maxPositions, sliding ?? full)
                : ofFull;
        if (byKind)
            newer!.RefuseUnknownKeys();
        return [.. windows.Select(window => window is null ? ofFull : ofSliding)];
    }

    private static RopeConfig Of(ConfigReader reader, ConfigReader? newer, string place, int maxPositions, RopeDefaults defaults)
    {
        var theta = One(reader, defaults.ThetaKeys);
        var share = defaults.MayBePartial ? One(reader, defaults.ShareKeys) : null;
        var scaling = defaults.ScalingKey is { } key ? reader.Object(key) : null;
        Agree(reader, theta, scaling, "rope_theta", "rope_scaling");
        var older = Settings(scaling, theta, share);
        if (newer is null)
            return older;
        Agree(reader, theta, newer, "rope_theta", place);
        Agree(reader, share, newer, "partial_rotary_factor", place);
        if (scaling is not null && scaling.Has("rope_theta"))
            Agree(reader, ("rope_theta in rope_scaling", scaling.Double("rope_theta")), newer, "rope_theta", place);
        var current = Settings(newer, theta, share);
        if (scaling is not null && !current.IsSameAs(older with { Theta = current.Theta, RotaryShare = current.RotaryShare }))
            throw reader.Unsupported(
                "rope_scaling",
                reader.Raw("rope_scaling"),
                $"{place} is {newer.Raw()}, another rotation; remove the one that does not belong to the model"
            );
        return current;

        RopeConfig Settings(ConfigReader? settings, (string Key, double Value)? theta, (string Key, double Value)? share) =>
            settings is null
                ? new RopeConfig(theta?.Value ?? defaults.Theta) { RotaryShare = share?.Value ?? defaults.Share }
                : RopeConfig.ReadScaling(
                    settings,
                    maxPositions,
                    settings.Double("rope_theta", theta?.Value ?? defaults.Theta),
                    share?.Value ?? defaults.Share,
                    defaults.MayBePartial,
                    defaults.Original
                );
    }

    // The value that one or several keys of the top level give.
    private static (string Key, double Value)? One(ConfigReader reader, IReadOnlyList<string> keys)
    {
        (string Key, double Value)? found = null;
        foreach (var key in keys.Where(reader.Has))
        {
            var value = reader.Double(key);
            if (found is { } first && first.Value != value)
                throw reader.Unsupported(key, Text(value), $"\"{first.Key}\" is {Text(first.Value)}; remove the wrong one");
            found ??= (key, value);
        }

        return found;
    }

    private static void Agree(ConfigReader reader, (string Key, double Value)? top, ConfigReader? settings, string key, string place)
    {
        if (top is not { } found || settings is null || !settings.Has(key) || settings.Double(key) == found.Value)
            return;
        throw reader.Unsupported(
            found.Key,
            Text(found.Value),
            $"\"{key}\" in {place} is {Text(settings.Double(key))}; remove the one that does not belong to the model"
        );
    }

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);
}
