using System.Globalization;
using System.Net;
using System.Text;
using Falcon.Results;

namespace Falcon.Reporting;

/// <summary>
/// Charts as SVG text: curves over steps, and bars with error bars for layers. Colours come from the style classes of
/// <see cref="ReportStyle"/>, so they follow light and dark.
/// </summary>
public static class SvgChart
{
    private const double Height = 250;
    private const double Top = 34;
    private const double LegendHeight = 20;
    private const double Left = 58;
    private const double Right = 14;
    private const double Bottom = 44;
    private const int MostPoints = 400;

    /// <summary>
    /// Curves over steps with axes, ticks and, for more than one, a legend. Of a long curve only the lowest and highest point of equal
    /// stretches of steps are drawn.
    /// </summary>
    /// <param name="title">Heading of the chart and its name for screen readers.</param>
    /// <param name="series">The curves; one without a finite value is left out.</param>
    /// <param name="width">Width in pixels of the drawing; it scales with the page.</param>
    /// <param name="yRange">Fixed ends of the value axis; null takes those of the values.</param>
    /// <param name="standalone">Whether to bring the styles along, for an .svg file of its own.</param>
    public static string Lines(
        string title,
        IReadOnlyList<StepSeries> series,
        double width = 460,
        (double Low, double High)? yRange = null,
        bool standalone = false
    )
    {
        var curves = series
            .Select(s => s with { Points = Thin(s.Points) })
            .Where(s => s.Points.Any(p => double.IsFinite(p.Value)))
            .ToList();
        var svg = Begin(title, Describe(curves), width, standalone);
        if (curves.Count == 0) return Empty(svg, width);
        var finite = curves.SelectMany(s => s.Points).Where(p => double.IsFinite(p.Value)).ToList();
        var x = new ChartScale(finite.Min(p => p.Step), finite.Max(p => p.Step), Left, width - Right, wantedTicks: 6, wholeTicks: false);
        var y = new ChartScale(
            yRange?.Low ?? finite.Min(p => p.Value),
            yRange?.High ?? finite.Max(p => p.Value),
            Height - Bottom,
            curves.Count > 1 ? Top + LegendHeight : Top,
            wantedTicks: 4,
            wholeTicks: true
        );
        DrawValueAxis(svg, y, width);
        foreach (var tick in x.Ticks)
            svg.Append(
                CultureInfo.InvariantCulture,
                $"<text class=\"tick\" x=\"{x.At(tick):0.0}\" y=\"{Height - Bottom + 16:0.0}\" text-anchor=\"middle\">"
                    + $"{x.Label(tick)}</text>\n"
            );
        svg.Append(
            Invariant(
                $"<text class=\"axis\" x=\"{(Left + width - Right) / 2:0.0}\" y=\"{Height - 8:0.0}\" text-anchor=\"middle\">step</text>\n"
            )
        );
        for (var i = 0; i < curves.Count; i++)
        {
            var path = PathOf(curves[i].Points, x, y);
            svg.Append(Invariant($"<path class=\"curve s{i % 4}\" d=\"{path}\"/>\n"));
            if (curves.Count > 1) DrawLegend(svg, i, curves[i].Name, (width - Left - Right) / curves.Count);
        }
        return svg.Append("</svg>\n").ToString();
    }

    /// <summary>
    /// One bar a layer with its 95 % interval; the chosen layer stands out, a layer whose estimate failed is a cross without a bar.
    /// </summary>
    /// <param name="title">Heading of the chart and its name for screen readers.</param>
    /// <param name="layers">The layers in order.</param>
    /// <param name="width">Width in pixels of the drawing; it scales with the page.</param>
    /// <param name="standalone">Whether to bring the styles along, for an .svg file of its own.</param>
    public static string Layers(string title, IReadOnlyList<LayerScore> layers, double width = 460, bool standalone = false)
    {
        var selected = layers.FirstOrDefault(l => l.Selected);
        var svg = Begin(
            title,
            $"{layers.Count} layers{(selected is null ? "" : Invariant($", layer {selected.Layer} chosen"))}",
            width,
            standalone
        );
        var values = layers
            .SelectMany(l => new[] { l.MutualInformation, l.Low, l.High })
            .Where(v => v is { } number && double.IsFinite(number))
            .Select(v => v!.Value)
            .ToList();
        if (values.Count == 0)
            return Empty(svg, width);
        var y = new ChartScale(
            Math.Min(0, values.Min()),
            Math.Max(0, values.Max()),
            Height - Bottom,
            Top,
            wantedTicks: 4,
            wholeTicks: true
        );
        DrawValueAxis(svg, y, width);
        var slot = (width - Left - Right) / layers.Count;
        var bar = Math.Min(slot * 0.68, 38);
        var labelEvery = (int)Math.Ceiling(layers.Count / 20.0);
        for (var i = 0; i < layers.Count; i++)
        {
            var layer = layers[i];
            var middle = Left + ((i + 0.5) * slot);
            if (layer.MutualInformation is { } value)
            {
                var (upper, lower) = (Math.Min(y.At(value), y.At(0)), Math.Max(y.At(value), y.At(0)));
                svg.Append(
                    CultureInfo.InvariantCulture,
                    $"<rect class=\"bar{(layer.Selected ? " chosen" : "")}\" x=\"{middle - (bar / 2):0.0}\" y=\"{upper:0.0}\" "
                        + $"width=\"{bar:0.0}\" height=\"{Math.Max(lower - upper, 0.5):0.0}\" rx=\"2\"/>\n"
                );
                if (layer is { Low: { } low, High: { } high })
                    svg.Append(
                        CultureInfo.InvariantCulture,
                        $"<path class=\"whisker\" d=\"M{middle:0.0} {y.At(low):0.0}V{y.At(high):0.0}"
                            + $"M{middle - 4:0.0} {y.At(low):0.0}h8M{middle - 4:0.0} {y.At(high):0.0}h8\"/>\n"
                    );
            }
            else
            {
                svg.Append(Invariant($"<path class=\"failed\" d=\"M{middle - 4:0.0} {y.At(0) - 12:0.0}l8 8m0 -8l-8 8\"/>\n"));
            }
            if (i % labelEvery == 0 || layer.Selected)
                svg.Append(
                    CultureInfo.InvariantCulture,
                    $"<text class=\"tick{(layer.Selected ? " strong" : "")}\" x=\"{middle:0.0}\" y=\"{Height - Bottom + 16:0.0}\" "
                        + $"text-anchor=\"middle\">{layer.Layer}</text>\n"
                );
        }
        svg.Append(
            Invariant(
                $"<text class=\"axis\" x=\"{(Left + width - Right) / 2:0.0}\" y=\"{Height - 8:0.0}\" text-anchor=\"middle\">layer</text>\n"
            )
        );
        return svg.Append("</svg>\n").ToString();
    }

    private static StringBuilder Begin(string title, string description, double width, bool standalone)
    {
        var svg = new StringBuilder();
        svg.Append(
            CultureInfo.InvariantCulture,
            $"<svg class=\"chart\" role=\"img\" aria-label=\"{WebUtility.HtmlEncode($"{title}: {description}")}\" "
                + $"viewBox=\"0 0 {width:0} {Height:0}\""
        );
        svg.Append(standalone ? " xmlns=\"http://www.w3.org/2000/svg\">\n<style>" + ReportStyle.Chart + "</style>\n" : ">\n");
        svg.Append(Invariant($"<text class=\"chart-title\" x=\"6\" y=\"16\">{WebUtility.HtmlEncode(title)}</text>\n"));
        return svg;
    }

    private static string Empty(StringBuilder svg, double width) =>
        svg.Append(
                Invariant(
                    $"<text class=\"axis\" x=\"{width / 2:0.0}\" y=\"{Height / 2:0.0}\" text-anchor=\"middle\">no values</text>\n</svg>\n"
                )
            )
            .ToString();

    private static void DrawValueAxis(StringBuilder svg, ChartScale y, double width)
    {
        foreach (var tick in y.Ticks)
        {
            var style = Math.Abs(tick) < 1e-12 ? "zero" : "grid";
            svg.Append(Invariant($"<path class=\"{style}\" d=\"M{Left:0.0} {y.At(tick):0.0}H{width - Right:0.0}\"/>\n"));
            svg.Append(
                Invariant(
                    $"<text class=\"tick\" x=\"{Left - 8:0.0}\" y=\"{y.At(tick) + 4:0.0}\" text-anchor=\"end\">{y.Label(tick)}</text>\n"
                )
            );
        }
    }

    private static void DrawLegend(StringBuilder svg, int index, string name, double columnWidth)
    {
        var x = Left + (index * columnWidth);
        svg.Append(
            CultureInfo.InvariantCulture,
            $"<path class=\"curve s{index % 4}\" d=\"M{x:0.0} 34h20\"/>"
                + $"<text class=\"tick\" x=\"{x + 26:0.0}\" y=\"38\">{WebUtility.HtmlEncode(name)}</text>\n"
        );
    }

    private static string PathOf(IReadOnlyList<(double Step, double Value)> points, ChartScale x, ChartScale y)
    {
        var path = new StringBuilder();
        var pen = 'M';
        foreach (var (step, value) in points)
        {
            if (!double.IsFinite(value))
            {
                pen = 'M';
                continue;
            }
            path.Append(Invariant($"{pen}{x.At(step):0.0} {y.At(value):0.0}"));
            pen = 'L';
        }
        return path.ToString();
    }

    private static IReadOnlyList<(double Step, double Value)> Thin(IReadOnlyList<(double Step, double Value)> points)
    {
        if (points.Count <= MostPoints) return points;
        var stretch = (int)Math.Ceiling(points.Count / (MostPoints / 2.0));
        return
        [
            .. points
                .Chunk(stretch)
                .SelectMany(c => new[] { c.MinBy(p => p.Value), c.MaxBy(p => p.Value) }.Distinct().OrderBy(p => p.Step)),
        ];
    }

    private static string Describe(IReadOnlyList<StepSeries> curves) =>
        string.Join(
            "; ",
            curves.Select(curve =>
            {
                var finite = curve.Points.Where(point => double.IsFinite(point.Value)).Select(point => point.Value).ToList();
                return $"{curve.Name} from {MetricText.Value(finite[0], "number")} to {MetricText.Value(finite[^1], "number")}";
            })
        );

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
