using System.Collections;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.Json;

namespace Falcon.Runtime;

/// <summary>
/// Checks settings against the ranges that stand on their properties (<see cref="RangeAttribute"/>, <see cref="MinLengthAttribute"/>), so
/// that a range is written once, beside default and documentation.
/// </summary>
public static class SettingRanges
{
    /// <summary>What is wrong; empty when nothing is. Each fault begins with the key path of the setting.</summary>
    /// <param name="settings">A record of settings.</param>
    /// <param name="path">Its key path in the run file; empty for the root.</param>
    public static IEnumerable<string> Faults(object settings, string path)
    {
        foreach (var property in settings.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            var name = JsonNamingPolicy.CamelCase.ConvertName(property.Name);
            var key = path.Length == 0 ? name : $"{path}.{name}";
            if (property.GetIndexParameters().Length > 0 || property.GetValue(settings) is not { } value)
                continue;
            if (
                property.GetCustomAttribute<MinLengthAttribute>() is { } least
                && value is ICollection { Count: var count }
                && count < least.Length
            )
                yield return $"{key}: give at least {least.Length}";
            if (property.GetCustomAttribute<RangeAttribute>() is not { } range) continue;
            foreach (var number in value is IEnumerable list ? list.Cast<object>() : [value])
                if (!IsWithin(Convert.ToDouble(number, CultureInfo.InvariantCulture), range))
                    yield return string.Create(CultureInfo.InvariantCulture, $"{key} is {number}; it must be {Describe(range)}");
        }
    }

    /// <summary>A range in words, such as <c>from 0 to 1</c> or <c>above 0</c>.</summary>
    public static string Describe(RangeAttribute range)
    {
        var (low, high) = Ends(range);
        var least = range.MinimumIsExclusive ? $"above {Text(low)}" : $"at least {Text(low)}";
        if (high >= int.MaxValue) return least;
        if (range.MaximumIsExclusive) return $"{least} and below {Text(high)}";
        return range.MinimumIsExclusive ? $"{least} and at most {Text(high)}" : $"from {Text(low)} to {Text(high)}";
    }

    private static bool IsWithin(double number, RangeAttribute range)
    {
        var (low, high) = Ends(range);
        if (!double.IsFinite(number)) return false;
        return (range.MinimumIsExclusive ? number > low : number >= low) && (range.MaximumIsExclusive ? number < high : number <= high);
    }

    private static (double Low, double High) Ends(RangeAttribute range) =>
        (Convert.ToDouble(range.Minimum, CultureInfo.InvariantCulture), Convert.ToDouble(range.Maximum, CultureInfo.InvariantCulture));

    private static string Text(double number) => number.ToString(CultureInfo.InvariantCulture);
}
