using System.Globalization;
using System.Text.RegularExpressions;
using System.Xml;
using Falcon.Reporting;
using Falcon.Results;

namespace Falcon.Tests.Reporting;

public class HtmlReportTests
{
    private const string Hostile = "<script>alert('x')</script> & \"quoted\"";

    [Fact]
    public void Render_HostileTexts_AreEscapedEverywhere()
    {
        var model = SampleReport.Model(Hostile) with
        {
            Verdict = new Verdict(VerdictKind.Partial, Hostile),
            Scores = [SampleReport.Scores[0] with { Name = Hostile }],
            Questions = [new(ScoreGroup.Forget, Hostile, Hostile, Hostile, Hostile, Hostile)],
            Layers = [new(0, null, null, null, false, Hostile), new(1, 0.5, null, null, true)],
            Losses = [new StepSeries(Hostile, [(1, 1), (2, 2)])],
            Cosines = [new StepSeries(Hostile, [(1, 0)]), new StepSeries(Hostile, [(1, 0.5)])],
            Facts = [new(Hostile, Hostile)],
            Environment = [new(Hostile, Hostile)],
            Configuration = Hostile,
            Files = [new(Hostile, 1, Hostile)],
        };

        var page = HtmlReport.Render([model]);

        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("alert('x')", page, StringComparison.Ordinal);   // the quote is escaped as well
        Assert.Contains("&lt;script&gt;", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Render_Page_NeedsNothingFromOutside()
    {
        var page = HtmlReport.Render([SampleReport.Model(), SampleReport.Model("Second")]);

        Assert.DoesNotMatch(
            new Regex(
                "https?://|url\\(|@import|<(script|link|iframe|img|object|embed|form)\\b|\\b(src|srcset|href)\\s*=",
                RegexOptions.IgnoreCase
            ),
            page
        );
    }

    [Fact]
    public void Render_SameModelInOtherCulture_SameText()
    {
        var first = HtmlReport.Render([SampleReport.Model()]);
        var culture = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
            Assert.Equal(first, HtmlReport.Render([SampleReport.Model()]));
        }
        finally
        {
            CultureInfo.CurrentCulture = culture;
        }
        if (Environment.GetEnvironmentVariable("FALCON_SAMPLE_REPORT") is { Length: > 0 } path)
            File.WriteAllText(path, first); // to look at it
    }

    [Fact]
    public void Render_Page_IsWellFormedAndAccessible()
    {
        var page = HtmlReport.Render([SampleReport.Model()]);

        // The page keeps to the syntax that XML shares with HTML, but for the doctype and void elements; a parser then finds every unclosed
        // or crossed element.
        var xml = new XmlDocument();
        xml.LoadXml(Regex.Replace(page.Replace("<!doctype html>", "", StringComparison.Ordinal), "<meta ([^>]*)>", "<meta $1/>"));
        Assert.Equal("en", xml.DocumentElement!.GetAttribute("lang"));
        Assert.Single(xml.SelectNodes("//h1")!);
        foreach (XmlElement picture in xml.SelectNodes("//svg")!)
            Assert.True(
                picture.HasAttribute("aria-label")
                    || picture.GetAttribute("aria-hidden") == "true"
                    || picture.ParentNode!.ParentNode!.Attributes!["aria-hidden"] is not null
            );
        foreach (XmlElement header in xml.SelectNodes("//th")!)
            Assert.True(header.HasAttribute("scope"));
    }

    [Fact]
    public void Render_NoRun_Throws() => Assert.Throws<ArgumentException>(() => HtmlReport.Render([]));
}
