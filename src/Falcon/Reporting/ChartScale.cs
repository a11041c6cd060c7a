using System.Globalization;

namespace Falcon.Reporting;

/// <summary>Maps values to one axis of a chart, with ticks at round numbers (1, 2 or 5 times a power of ten).</summary>
internal sealed class ChartScale
{
    private readonly double _low;
    private readonly double _high;
    private readonly double _start;
    private readonly double _end;
    private readonly string _format;

    /// <summary>
    /// An axis from pixel <paramref name="start"/> to pixel <paramref name="end"/> that covers all the values, widened to whole ticks when
    /// asked.
    /// </summary>
    public ChartScale(double low, double high, double start, double end, int wantedTicks, bool wholeTicks)
    {
        if (high - low < 1e-12 * Math.Max(1, Math.Abs(high)))
            (low, high) = high == 0 ? (0, 1) : (low - (Math.Abs(low) / 2), high + (Math.Abs(high) / 2));
        var step = RoundStep((high - low) / wantedTicks);
        if (wholeTicks) (low, high) = (Math.Floor((low / step) + 1e-9) * step, Math.Ceiling((high / step) - 1e-9) * step);
        (_low, _high, _start, _end) = (low, high, start, end);
        var first = (long)Math.Ceiling((low / step) - 1e-9);
        var last = (long)Math.Floor((high / step) + 1e-9);
        Ticks = [.. Enumerable.Range(0, (int)(last - first) + 1).Select(i => (first + i) * step)];
        var decimals = Math.Clamp((int)-Math.Floor(Math.Log10(step) + 1e-9), 0, 9);
        _format = Math.Abs(high) >= 1e6 || decimals > 5 ? "0.#e+0" : "0." + new string('0', decimals);
    }

    /// <summary>The values that carry a tick, ascending.</summary>
    public IReadOnlyList<double> Ticks { get; }

    /// <summary>The pixel of a value.</summary>
    public double At(double value) => _start + ((value - _low) / (_high - _low) * (_end - _start));

    /// <summary>The text of a tick.</summary>
    public string Label(double tick) => (Math.Abs(tick) < 1e-12 ? 0 : tick).ToString(_format, CultureInfo.InvariantCulture);

    private static double RoundStep(double raw)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        var lead = raw / power;
        return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
    }
}
