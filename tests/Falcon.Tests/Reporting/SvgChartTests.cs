using System.Text.RegularExpressions;
using System.Xml;
using Falcon.Reporting;

namespace Falcon.Tests.Reporting;

public class SvgChartTests
{
    [Fact]
    public void Lines_ValueThatIsNotFinite_LeavesAGap()
    {
        var svg = SvgChart.Lines("loss", [new StepSeries("a", [(1, 1), (2, 2), (3, double.NaN), (4, 1), (5, 2)])]);

        var path = Regex.Match(svg, "class=\"curve s0\" d=\"([^\"]*)\"").Groups[1].Value;
        Assert.Equal(2, path.Count(c => c == 'M'));
        Assert.DoesNotContain("NaN", svg, StringComparison.Ordinal);
    }

    [Fact]
    public void Lines_LongCurve_IsThinnedAndKeepsItsExtremes()
    {
        var points = Enumerable.Range(0, 10_000).Select(i => ((double)i, i == 4567 ? 100.0 : i == 7000 ? -100.0 : 0.0)).ToList();

        var svg = SvgChart.Lines("loss", [new StepSeries("a", points)], yRange: (-100, 100));

        var heights = Regex
            .Matches(Regex.Match(svg, "class=\"curve s0\" d=\"([^\"]*)\"").Groups[1].Value, " ([0-9.]+)")
            .Select(m => m.Groups[1].Value)
            .ToList();
        Assert.True(heights.Count <= 400);
        Assert.Contains("34.0", heights);    // the top of the drawing area: value 100
        Assert.Contains("206.0", heights);   // its bottom: value -100
    }

    [Fact]
    public void Layers_FailedEstimate_IsACrossAndNoBar()
    {
        var svg = SvgChart.Layers("layers", [new(0, 1, 0.5, 1.5, true), new(1, null, null, null, false)]);

        Assert.Single(Regex.Matches(svg, "<rect class=\"bar"));
        Assert.Single(Regex.Matches(svg, "class=\"failed\""));
        Assert.Contains("layer 0 chosen", svg, StringComparison.Ordinal);
    }

    [Fact]
    public void Charts_WithoutValues_SayThatThereAreNone()
    {
        Assert.Contains("no values", SvgChart.Lines("t", []), StringComparison.Ordinal);
        Assert.Contains("no values", SvgChart.Layers("t", [new(0, null, null, null, false)]), StringComparison.Ordinal);
    }

    [Fact]
    public void Standalone_IsXmlWithItsOwnStyle()
    {
        var xml = new XmlDocument();
        xml.LoadXml(SvgChart.Layers("a < b", SampleReport.Layers, standalone: true));

        Assert.Equal("http://www.w3.org/2000/svg", xml.DocumentElement!.NamespaceURI);
        Assert.Contains("prefers-color-scheme", xml.DocumentElement["style"]!.InnerText, StringComparison.Ordinal);
    }

    [Theory]   // derived by hand: steps are 1, 2 or 5 times a power of ten
    [InlineData(0, 1, 4, "0.0 0.5 1.0")]
    [InlineData(0, 9.3, 4, "0 5 10")]
    [InlineData(-0.02, 0.05, 4, "-0.02 0.00 0.02 0.04 0.06")]
    [InlineData(3, 3, 2, "0 2 4 6")]   // one value: half of it is added on both sides
    [InlineData(0, 0, 4, "0.0 0.5 1.0")]
    public void Scale_Ticks_AreRoundNumbersAroundTheValues(double low, double high, int wanted, string expected)
    {
        var scale = new ChartScale(low, high, 0, 100, wanted, wholeTicks: true);

        Assert.Equal(expected, string.Join(' ', scale.Ticks.Select(scale.Label)));
        Assert.True(scale.At(low) >= -1e-9 && scale.At(high) <= 100 + 1e-9);
    }
}
