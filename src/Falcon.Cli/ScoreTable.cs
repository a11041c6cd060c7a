using System.Globalization;
using Falcon.Reporting;
using Falcon.Results;
using Spectre.Console;

namespace Falcon.Cli;

/// <summary>Draws the scores before and after a run and its answered questions.</summary>
internal static class ScoreTable
{
    public static void Show(IAnsiConsole console, RunRecord run)
    {
        console.Write(new Rule(Markup.Escape(run.Title)).LeftJustified());
        if (run.Scores.Count > 0)
            console.Write(Scores(run.Scores));
        foreach (var question in run.Questions)
            console.Write(Answers(question));
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{run.Method ?? run.Verb}{(run.Layer is { } layer ? $", layer {layer}" : "")}, {run.Seconds:0} s"
            )
        );
    }

    private static Table Scores(IEnumerable<ScoreRow> rows)
    {
        var table = new Table().Border(TableBorder.Rounded).AddColumns("", "measured", "before", "after", "never taught");
        foreach (var column in table.Columns.Skip(2)) column.RightAligned();
        foreach (var row in rows)
            table.AddRow(
                new Text(row.Group switch { ScoreGroup.Forget => "forget", ScoreGroup.Retain => "retain", _ => "general" }),
                new Text(row.Name),
                new Text(MetricText.WithInterval(row.Before, row.Unit)),
                new Text(MetricText.WithInterval(row.After, row.Unit)),
                new Text(row.Control is null ? "" : MetricText.WithInterval(row.Control, row.Unit))
            );
        return table;
    }

    private static Panel Answers(AnsweredQuestion question)
    {
        var answers = new Grid().AddColumn(new GridColumn().NoWrap()).AddColumn();
        answers.AddRow(new Text("true answer"), new Text(question.Expected));
        answers.AddRow(new Text("before"), new Text(question.Before));
        answers.AddRow(new Text("after"), new Text(question.After));
        if (question.Control is not null) answers.AddRow(new Text("never taught"), new Text(question.Control));
        return new Panel(answers).Header(Markup.Escape(question.Question)).Expand();
    }

    /// <summary>A metric as table cells: value, interval, reference, direction, n.</summary>
    public static IEnumerable<string> Cells(MetricValue metric) =>
        [
            MetricText.Value(metric.Value, "number"),
            MetricText.Interval(metric, "number"),
            metric.Reference is { } reference ? MetricText.Value(reference, "number") : "",
            metric.Direction,
            metric.N.ToString(CultureInfo.InvariantCulture),
        ];
}
