using Falcon.Runtime;

namespace Falcon.ChatTemplates;

/// <summary>
/// The Jinja text with which a model turns a conversation into a prompt: the part of Jinja2 that chat templates use, set up as transformers
/// does (trim_blocks, lstrip_blocks, loop controls, the generation tag, tojson without escapes, no autoescape).
/// </summary>
/// <remarks>
/// Anything outside that part is an error, never silently ignored. One template may be rendered from several threads at once.
/// </remarks>
public sealed class ChatTemplate
{
    private readonly IReadOnlyList<TemplateStatement> _body;

    private ChatTemplate(IReadOnlyList<TemplateStatement> body) => _body = body;

    /// <summary>Reads a template.</summary>
    /// <param name="source">The Jinja text.</param>
    /// <exception cref="UnsupportedCheckpointException">
    /// The text is not Jinja, or uses a tag, filter, test or function that is not supported; the message names it and the line.
    /// </exception>
    public static ChatTemplate Parse(string source)
    {
        ArgumentNullException.ThrowIfNull(source);
        try
        {
            return new(new ChatTemplateParser(ChatTemplateLexer.Read(source)).Template());
        }
        catch (InsufficientExecutionStackException error)
        {
            throw new UnsupportedCheckpointException("The chat template is nested too deeply.", error);
        }
    }

    /// <summary>
    /// The prompt. Where the template writes the beginning-of-text token it is already in it: encode without adding special tokens.
    /// </summary>
    /// <param name="variables">
    /// What the template may use: as a rule <c>messages</c> (a list of maps with <c>role</c> and <c>content</c>),
    /// <c>add_generation_prompt</c>, <c>bos_token</c>, <c>eos_token</c>, maybe <c>tools</c>. Values are text, numbers, true, false, null,
    /// lists, maps with text keys, or JSON elements.
    /// </param>
    /// <param name="now">The time that <c>strftime_now</c> tells; the local time where it is not given.</param>
    /// <exception cref="ChatTemplateException">The template refused the conversation.</exception>
    /// <exception cref="UnsupportedCheckpointException">
    /// The template does something that cannot be done, such as reading a field of an undefined value; the message names the line.
    /// </exception>
    public string Render(IReadOnlyDictionary<string, object?> variables, DateTimeOffset? now = null)
    {
        ArgumentNullException.ThrowIfNull(variables);
#pragma warning disable RS0030   // a template that asks for today's date, rendered by a caller who names none
        return new ChatTemplateInterpreter(variables, now ?? TimeProvider.System.GetLocalNow()).Run(_body);
#pragma warning restore RS0030
    }

    internal static UnsupportedCheckpointException Unsupported(int line, string problem, Exception? inner = null) =>
        new($"Chat template, line {line}: {problem}.", inner);
}
