using System.Globalization;
using System.Text;
using Falcon.Results;

namespace Falcon.Reporting;

/// <summary>
/// A small picture of one row of shares on a line from 0 to 100 %: the never-taught control's interval as a band, before as a ring, after
/// as a dot with its interval.
/// </summary>
internal static class ScoreStrip
{
    private const double Width = 190;
    private const double Height = 30;
    private const double Margin = 9;
    private const double Middle = Height / 2;

    /// <summary>The picture; empty for a row that is not a share. Hidden from screen readers, which read the numbers beside it.</summary>
    public static string Render(ScoreRow row)
    {
        if (row.Unit != "percent")
            return "";
        var svg = new StringBuilder(
            string.Create(CultureInfo.InvariantCulture, $"<svg class=\"strip\" aria-hidden=\"true\" viewBox=\"0 0 {Width:0} {Height:0}\">")
        );
        Append(svg, $"<path class=\"track\" d=\"M{At(0):0.0} {Middle:0}H{At(1):0.0}\"/>");
        if (row.Control is { } control)
        {
            var (low, high) = (control.Low ?? control.Value, control.High ?? control.Value);
            Append(svg, $"<rect class=\"band\" x=\"{At(low) - 1:0.0}\" y=\"{Middle - 9:0}\" ");
            Append(svg, $"width=\"{At(high) - At(low) + 2:0.0}\" height=\"18\" rx=\"3\"/>");
            Append(svg, $"<path class=\"band-middle\" d=\"M{At(control.Value):0.0} {Middle - 9:0}v18\"/>");
        }
        Append(svg, $"<path class=\"move\" d=\"M{At(row.Before.Value):0.0} {Middle:0}H{At(row.After.Value):0.0}\"/>");
        if (row.After is { Low: { } afterLow, High: { } afterHigh })
            Append(svg, $"<path class=\"whisker\" d=\"M{At(afterLow):0.0} {Middle:0}H{At(afterHigh):0.0}\"/>");
        Append(svg, $"<circle class=\"before\" cx=\"{At(row.Before.Value):0.0}\" cy=\"{Middle:0}\" r=\"5\"/>");
        Append(svg, $"<circle class=\"after\" cx=\"{At(row.After.Value):0.0}\" cy=\"{Middle:0}\" r=\"5\"/>");
        return svg.Append("</svg>").ToString();
    }

    private static double At(double share) => Margin + (Math.Clamp(share, 0, 1) * (Width - (2 * Margin)));

    private static void Append(StringBuilder svg, FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture));
}
