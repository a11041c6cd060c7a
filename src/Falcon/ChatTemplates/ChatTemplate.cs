using Falcon.Runtime;

namespace Falcon.ChatTemplates;

/// <summary>
/// The Jinja template by which a model turns a conversation into a prompt. It supports the part of Jinja2 that chat templates use,
/// configured as in transformers (trim_blocks, lstrip_blocks, loop controls, the generation tag, tojson without escapes, no autoescape).
/// </summary>
/// <remarks>
/// Anything else is an error, never silently ignored. A template may be rendered from several threads at once.
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
    /// Renders the prompt. The template writes special tokens itself, so encode the result without adding them.
    /// </summary>
    /// <param name="variables">
    /// The variables of the template, usually <c>messages</c> (a list of maps with <c>role</c> and <c>content</c>),
    /// <c>add_generation_prompt</c>, <c>bos_token</c>, <c>eos_token</c> and possibly <c>tools</c>. Values are text, numbers, true, false,
    /// null, lists, maps with text keys, or JSON elements.
    /// </param>
    /// <param name="now">The time for <c>strftime_now</c>; null for the current local time.</param>
    /// <exception cref="ChatTemplateException">The template refused the conversation.</exception>
    /// <exception cref="UnsupportedCheckpointException">
    /// An operation fails, such as reading a field of an undefined value; the message names the line.
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
