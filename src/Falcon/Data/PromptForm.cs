using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>How questions are put to a model.</summary>
public enum FormKind
{
    /// <summary>
    /// Chat where the tokenizer has a chat template, for one's own questions and conversations; plain for published benchmarks, and where a
    /// template of one's own is given.
    /// </summary>
    Auto,

    /// <summary>The tokenizer's chat template.</summary>
    Chat,

    /// <summary>The text of a <see cref="PromptTemplate"/>.</summary>
    Plain,
}

/// <summary>
/// The form in which a model is asked and answers: chosen once, recorded with the run, and used by training, layer choice, evaluation,
/// generation, attacks and report alike.
/// </summary>
public sealed record PromptForm
{
    /// <summary>Chat, plain, or chosen by the tokenizer.</summary>
    public FormKind Kind { get; init; }

    /// <summary>Chat: a system message before conversations that have none; null leaves that to the template.</summary>
    public string? System { get; init; }

    /// <summary>Chat: the day for templates that print one; null for today.</summary>
    public DateOnly? Date { get; init; }

    /// <summary>Plain: how question and answer become text.</summary>
    public PromptTemplate Template { get; init; } = new();

    /// <summary>
    /// Chat or plain, whichever this form is for a tokenizer. What only the other one needs is left out.
    /// </summary>
    /// <param name="hasChatTemplate">Whether the tokenizer has a chat template.</param>
    /// <param name="isBenchmark">Whether published benchmark questions are asked, which <see cref="FormKind.Auto"/> asks plainly.</param>
    /// <exception cref="UserInputException">Chat form without a chat template, or a system message in plain form.</exception>
    public PromptForm Resolve(bool hasChatTemplate, bool isBenchmark = false)
    {
        Template.Validate();
        var isOwn = Template != new PromptTemplate();
        if (Kind == FormKind.Chat && !hasChatTemplate)
            throw new UserInputException(
                "form chat: the tokenizer has no chat template; put a chat_template.jinja beside it, or use --form plain."
            );
        if (Kind == FormKind.Chat && isOwn)
            throw new UserInputException(
                "form chat: a template of your own is given too (template.*), and a model is asked in one form; leave one of the two out."
            );
        var isChat = Kind == FormKind.Chat || (Kind == FormKind.Auto && hasChatTemplate && !isOwn);
        if (!isChat && System is not null)
            throw new UserInputException(
                Kind == FormKind.Plain || isOwn
                    ? "--system: only the chat form has a system message; leave it out, or use --form chat."
                    : "--system: the tokenizer has no chat template, so there is no system message; leave it out."
            );
        return isChat && !(Kind == FormKind.Auto && isBenchmark)
            ? this with
            {
                Kind = FormKind.Chat,
            }
            : new PromptForm { Kind = FormKind.Plain, Template = Template };
    }

    /// <summary>The form with a date: its own, or the given one.</summary>
    public PromptForm OnDay(DateOnly today) => this with { Date = Date ?? today };

    /// <summary>In words, for logs and pages.</summary>
    public string Describe() =>
        Kind switch
        {
            FormKind.Chat when System is not null => $"the tokenizer's chat template with the system message \"{Shortened(System)}\"",
            FormKind.Chat => "the tokenizer's chat template",
            FormKind.Plain when Template == new PromptTemplate() => "plain questions and answers",
            FormKind.Plain => $"\"{Template.Question.ReplaceLineEndings("\\n")}{Template.Answer.ReplaceLineEndings("\\n")}\"",
            _ => "chosen by the tokenizer",
        };

    private static string Shortened(string text) => text.Length <= 60 ? text : text[..57] + "...";
}
