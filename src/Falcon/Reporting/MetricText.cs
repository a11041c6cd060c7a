using System.Globalization;
using Falcon.Results;

namespace Falcon.Reporting;

/// <summary>Numbers of results as people read them: shares as percentages, everything in invariant notation.</summary>
public static class MetricText
{
    /// <summary>A number: <c>93.5 %</c> for the unit <c>percent</c> (a share from 0 to 1), else about four significant digits.</summary>
    public static string Value(double value, string unit)
    {
        if (unit == "percent") return (value * 100).ToString("0.0", CultureInfo.InvariantCulture) + " %";
        var size = Math.Abs(value);
        var format = size switch { 0 => "0", < 0.001 => "0.00e+0", < 10 => "0.000", < 100 => "0.00", < 1e6 => "0.0", _ => "0.00e+0" };
        return value.ToString(format, CultureInfo.InvariantCulture);
    }

    /// <summary>The 95 % interval, <c>90.1 to 95.8 %</c>, or nothing where there is none.</summary>
    public static string Interval(MetricValue metric, string unit)
    {
        if (metric is not { Low: { } low, High: { } high }) return "";
        var (first, last) = (Value(low, unit), Value(high, unit));
        return unit == "percent" ? $"{first[..^2]} to {last}" : $"{first} to {last}";
    }

    /// <summary>Value and interval, <c>93.5 % (90.1 to 95.8 %)</c>.</summary>
    public static string WithInterval(MetricValue metric, string unit)
    {
        var interval = Interval(metric, unit);
        return interval.Length == 0 ? Value(metric.Value, unit) : $"{Value(metric.Value, unit)} ({interval})";
    }
}
