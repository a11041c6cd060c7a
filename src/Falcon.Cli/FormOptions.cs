using System.CommandLine;
using System.Globalization;
using Falcon.Data;

namespace Falcon.Cli;

/// <summary>
/// The prompt form: <c>--form</c>, <c>--system</c> and <c>--date</c>, the same in every verb that asks or trains a model.
/// </summary>
internal sealed class FormOptions
{
    private const string Day = "yyyy-MM-dd";

    /// <summary>Adds the options to the command.</summary>
    public FormOptions(Command command)
    {
        Form.AcceptOneOf("auto", "chat", "plain");
        Date.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string?>() is { } text && Parsed(text) is null)
                result.AddError($"--date is '{text}', it must be a day such as 2026-01-31");
        });
        foreach (var option in new Option[] { Form, System, Date })
            command.Add(option);
    }

    public Option<string?> Form { get; } =
        new("--form")
        {
            Description =
                "How the model is asked: chat (the tokenizer's chat template), plain (Question: ... Answer: ...), or auto (chat where "
                + "there is a template, but published benchmarks plainly). The default is the form of the run that made the "
                + "model, else auto.",
            HelpName = "auto|chat|plain",
        };

    public Option<string?> System { get; } =
        new("--system") { Description = "Chat form: a system message before conversations that have none.", HelpName = "TEXT" };

    public Option<string?> Date { get; } =
        new("--date") { Description = "Chat form: the day for templates that print one; the default is today.", HelpName = "YYYY-MM-DD" };

    /// <summary>Whether one of the options is given.</summary>
    public bool AreGiven(ParseResult parsed) =>
        parsed.GetValue(Form) is not null || parsed.GetValue(System) is not null || parsed.GetValue(Date) is not null;

    /// <summary>The options laid over a form; one that is chosen anew takes over no template of the plain one.</summary>
    public PromptForm Over(PromptForm form, ParseResult parsed)
    {
        if (parsed.GetValue(Form) is { } name)
        {
            var kind = Enum.Parse<FormKind>(name, ignoreCase: true);
            var keeps = kind == FormKind.Plain || kind == form.Kind;
            form = form with
            {
                Kind = kind,
                Template = keeps ? form.Template : new(),
                System = kind == FormKind.Plain ? null : form.System,
            };
        }

        return form with
        {
            System = parsed.GetValue(System) ?? form.System,
            Date = parsed.GetValue(Date) is { } day ? Parsed(day) : form.Date,
        };
    }

    private static DateOnly? Parsed(string text) =>
        DateOnly.TryParseExact(text, Day, CultureInfo.InvariantCulture, DateTimeStyles.None, out var day) ? day : null;
}
