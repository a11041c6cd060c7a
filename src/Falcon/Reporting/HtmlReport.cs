using System.Globalization;
using System.Net;
using System.Text;
using Falcon.Results;

namespace Falcon.Reporting;

/// <summary>
/// A report as one self-contained HTML page, without script, font, picture or link from outside. The top is for everybody (verdict, table,
/// answers), the details are below. The same models give the same text, byte for byte.
/// </summary>
public static class HtmlReport
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    /// <summary>The page for one or several runs. All texts of the models are escaped.</summary>
    /// <exception cref="ArgumentException">There is no run.</exception>
    public static string Render(IReadOnlyList<ReportModel> runs)
    {
        if (runs.Count == 0) throw new ArgumentException("A report needs at least one run.", nameof(runs));
        var title = runs.Count == 1 ? runs[0].Title : string.Create(CultureInfo.InvariantCulture, $"{runs.Count} runs");
        var page = new StringBuilder();
        page.Append(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, "
                + "initial-scale=1\">\n"
        );
        page.Append(
            Invariant,
            $"<title>{Escape(title)} – Falcon</title>\n<style>{ReportStyle.Chart}{ReportStyle.Page}</style>\n</head>\n<body>\n<main>\n"
        );
        foreach (var run in runs)
            AppendRun(page, run);
        page.Append("</main>\n</body>\n</html>\n");
        return page.ToString();
    }

    private static void AppendRun(StringBuilder page, ReportModel run)
    {
        page.Append("<section class=\"run\">\n");
        AppendVerdict(page, run);
        if (run.Scores.Count > 0) AppendScores(page, run.Scores);
        if (run.Questions.Count > 0) AppendQuestions(page, run.Questions);
        if (run.Attacks is { Attacks.Count: > 0 } attacks) page.Append(AttackSection.Render(attacks));
        AppendCourse(page, run);
        AppendDetails(page, run);
        page.Append("</section>\n");
    }

    private static void AppendVerdict(StringBuilder page, ReportModel run)
    {
        var (style, mark) = run.Verdict.Kind switch
        {
            VerdictKind.Success => ("success", "✓"),
            VerdictKind.Failure => ("failure", "✕"),
            VerdictKind.Partial => ("partial", "!"),
            _ => ("unknown", "?"),
        };
        page.Append(Invariant, $"<header>\n<p class=\"kind\">Falcon unlearning report</p>\n<h1>{Escape(run.Title)}</h1>\n");
        page.Append(
            Invariant,
            $"<p class=\"verdict {style}\"><span class=\"mark\" "
                + $"aria-hidden=\"true\">{mark}</span><span>{Escape(run.Verdict.Sentence)}</span></p>\n</header>\n"
        );
    }

    private static void AppendScores(StringBuilder page, IReadOnlyList<ScoreRow> scores)
    {
        var hasControl = scores.Any(s => s.Control is not null);
        page.Append("<h2>What was measured</h2>\n<p>Small print is the range that holds the true value with 95\u00a0% confidence.");
        if (hasControl)
            page.Append(
                " “Never taught” is a model made the same way that has not seen the knowledge to forget: nobody can forget more than it "
                    + "never knew."
            );
        page.Append(
            "</p>\n<div class=\"card\"><table>\n<thead><tr><th scope=\"col\">Measured</th><th scope=\"col\">Before</th><th "
                + "scope=\"col\">After</th>"
        );
        if (hasControl)
            page.Append("<th scope=\"col\">Never taught</th>");
        page.Append("<th scope=\"col\"><span aria-hidden=\"true\">0 to 100 %</span></th></tr></thead>\n");
        foreach (var group in scores.GroupBy(s => s.Group).OrderBy(g => g.Key))
        {
            page.Append(
                Invariant,
                $"<tbody><tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{(hasControl ? 5 : 4)}\">{GroupTitle(group.Key)}</th></tr>\n"
            );
            foreach (var row in group)
            {
                page.Append(
                    Invariant,
                    $"<tr><th scope=\"row\">{Escape(row.Name)}{Definition(row.After)}</th>"
                        + $"{Cell(row.Before, row.Unit)}{Cell(row.After, row.Unit)}"
                );
                if (hasControl)
                    page.Append(row.Control is null ? "<td></td>" : Cell(row.Control, row.Unit));
                page.Append(Invariant, $"<td>{ScoreStrip.Render(row)}</td></tr>\n");
            }
            page.Append("</tbody>\n");
        }
        page.Append(
            "</table></div>\n<ul class=\"key\" aria-hidden=\"true\"><li><svg viewBox=\"0 0 18 18\"><circle class=\"before\" cx=\"9\" "
                + "cy=\"9\" r=\"5\"/></svg>before</li>"
        );
        page.Append(
            "<li><svg viewBox=\"0 0 18 18\"><path class=\"whisker\" d=\"M0 9H18\"/><circle class=\"after\" cx=\"9\" cy=\"9\" "
                + "r=\"5\"/></svg>after, with its range</li>"
        );
        if (hasControl)
            page.Append(
                "<li><svg viewBox=\"0 0 18 18\"><rect class=\"band\" x=\"2\" y=\"1\" width=\"14\" height=\"16\" rx=\"3\"/><path "
                    + "class=\"band-middle\" d=\"M9 1v16\"/></svg>never taught, with its range</li>"
            );
        page.Append("</ul>\n");
    }

    private static void AppendQuestions(StringBuilder page, IReadOnlyList<AnsweredQuestion> questions)
    {
        page.Append("<h2>In its own words</h2>\n<p>The same questions, put to the model before and after.</p>\n<div class=\"answers\">\n");
        foreach (var question in questions)
        {
            var group = question.Group switch
            {
                ScoreGroup.Forget => ("forget", "to forget"),
                ScoreGroup.Retain => ("retain", "to keep"),
                _ => ("general", "to keep"),
            };
            page.Append(
                Invariant,
                $"<article><span class=\"tag {group.Item1}\">{group.Item2}</span>\n<h3>{Escape(question.Question)}</h3>\n<p "
                    + $"class=\"expected\">True answer: {Escape(question.Expected)}</p>\n"
            );
            page.Append(
                Invariant,
                $"<dl><dt>Before</dt><dd>{Escape(question.Before)}</dd><dt>After</dt><dd><strong>{Escape(question.After)}</strong></dd>"
            );
            if (question.Control is not null)
                page.Append(Invariant, $"<dt>Never taught</dt><dd>{Escape(question.Control)}</dd>");
            page.Append("</dl></article>\n");
        }
        page.Append("</div>\n");
    }

    private static void AppendCourse(StringBuilder page, ReportModel run)
    {
        var hasCurves = run.Losses.Count + run.Cosines.Count > 0;
        if (run.Facts.Count == 0 && run.Layers.Count == 0 && !hasCurves) return;
        page.Append("<h2>How it was done</h2>\n");
        if (run.Facts.Count > 0) page.Append(Invariant, $"<div class=\"card\">{List(run.Facts)}</div>\n");
        if (run.Layers.Count == 0 && !hasCurves) return;
        page.Append("<div class=\"charts\" style=\"margin-top:16px\">\n");
        if (run.Layers.Count > 0)
            page.Append(
                Invariant,
                $"<figure>{SvgChart.Layers("Mutual information by layer (nats)", run.Layers)}<figcaption class=\"note\">The less a "
                    + $"layer's states of forget and keep texts share, the better they can be told apart there.{Searched(run.Layers)} "
                    + $"Lines: 95 % interval.</figcaption></figure>\n"
            );
        foreach (var loss in run.Losses)
            page.Append(
                Invariant,
                $"<figure>{SvgChart.Lines(loss.Name, [loss])}<figcaption class=\"note\">Over the steps of unlearning; the smaller, the "
                    + $"nearer to its aim.</figcaption></figure>\n"
            );
        if (run.Cosines.Count > 0)
            page.Append(
                Invariant,
                $"<figure>{SvgChart.Lines("Cosine of forget and keep gradients", run.Cosines, yRange: (-1, 1))}<figcaption "
                    + $"class=\"note\">Below zero the two goals pull against each other, and the conflicting part is taken "
                    + $"out.</figcaption></figure>\n"
            );
        page.Append("</div>\n");
    }

    private static void AppendDetails(StringBuilder page, ReportModel run)
    {
        if (run.Layers.Count > 0)
        {
            page.Append(
                "<details><summary>Every layer in numbers</summary><div><table><thead><tr><th scope=\"col\">Layer</th><th "
                    + "scope=\"col\">Mutual information (nats)</th><th scope=\"col\">95 % interval</th><th "
                    + "scope=\"col\">Note</th></tr></thead><tbody>\n"
            );
            foreach (var layer in run.Layers)
            {
                var interval = layer is { Low: not null, High: not null } ? $"{Number(layer.Low)} to {Number(layer.High)}" : "";
                var notes = string.Join("; ", new[] { layer.Selected ? "chosen" : null, layer.Note }.OfType<string>());
                page.Append(
                    Invariant,
                    $"<tr><th scope=\"row\">{layer.Layer}</th><td>{Number(layer.MutualInformation) ?? "failed"}</td>"
                        + $"<td>{interval}</td><td>{Escape(notes)}</td></tr>\n"
                );
            }

            page.Append("</tbody></table></div></details>\n");
        }
        if (run.Configuration is not null)
            page.Append(
                Invariant,
                $"<details><summary>Configuration</summary><div><pre tabindex=\"0\">{Escape(run.Configuration)}</pre></div></details>\n"
            );
        if (run.Environment.Count > 0)
            page.Append(Invariant, $"<details><summary>Environment</summary><div>{List(run.Environment)}</div></details>\n");
        if (run.Files.Count == 0)
            return;
        page.Append(
            "<details><summary>Files and their SHA-256</summary><div><table><thead><tr><th scope=\"col\">File</th><th "
                + "scope=\"col\">Bytes</th><th scope=\"col\">SHA-256</th></tr></thead><tbody>\n"
        );
        foreach (var file in run.Files)
            page.Append(
                Invariant,
                $"<tr><th scope=\"row\">{Escape(file.Name)}</th><td>{file.Bytes:N0}</td><td "
                    + $"class=\"hash\">{Escape(file.Sha256)}</td></tr>\n"
            );
        page.Append("</tbody></table></div></details>\n");
    }

    private static string GroupTitle(ScoreGroup group) => group switch
    {
        ScoreGroup.Forget => "To forget: lower is the aim",
        ScoreGroup.Retain => "To keep: should stay as it was",
        _ => "General abilities: should stay as they were",
    };

    private static string Cell(MetricValue metric, string unit)
    {
        var interval = MetricText.Interval(metric, unit);
        return $"<td><b>{MetricText.Value(metric.Value, unit)}</b>{(interval.Length == 0 ? "" : $"<small>{interval}</small>")}</td>";
    }

    // Says why the chosen layer may not have the lowest bar.
    private static string Searched(IReadOnlyList<LayerScore> layers)
    {
        var searched = layers.Where(layer => layer.Note != LayerScore.NotSearched).ToList();
        return searched.Count == layers.Count || searched.Count == 0
            ? ""
            : string.Create(Invariant, $" The choice was among layers {searched[0].Layer} to {searched[^1].Layer}.");
    }

    private static string Definition(MetricValue metric) =>
        metric.Definition is null ? "" : $"<small class=\"note\">{Escape(metric.Definition)}</small>";

    private static string List(IReadOnlyList<Fact> facts) =>
        $"<dl>{string.Concat(facts.Select(f => $"<dt>{Escape(f.Name)}</dt><dd>{Escape(f.Value)}</dd>"))}</dl>";

    private static string? Number(double? value) => value?.ToString("0.0000", CultureInfo.InvariantCulture);

    private static string Escape(string text) => WebUtility.HtmlEncode(text);
}
