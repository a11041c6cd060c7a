namespace Falcon.Data;

/// <summary>A question and what is put around it, for every form in which a model may be asked.</summary>
/// <param name="Text">The question, without template.</param>
public sealed record AskedQuestion(string Text)
{
    /// <summary>Plain form: the prompt in place of the template's; null for the template's.</summary>
    public string? Plain { get; init; }

    /// <summary>Chat form: the system message in place of the form's; null for the form's.</summary>
    public string? System { get; init; }

    /// <summary>
    /// Records before the question, solved questions or texts. In plain form each is followed by an empty line; in chat form questions are
    /// turns of their own, and texts stand in the user's turn after them.
    /// </summary>
    public IReadOnlyList<CorpusRecord> Examples { get; init; } = [];

    /// <summary>Text before the question: before the whole prompt in plain form, in the user's turn in chat form.</summary>
    public string Before { get; init; } = "";

    /// <summary>The beginning of the answer, given to the model as if it had written it; without white space at its ends.</summary>
    public string Opening { get; init; } = "";

    /// <summary>Whether <see cref="Text"/> is the whole prompt, without template and without chat.</summary>
    public bool WithoutForm { get; init; }

    /// <summary>The question with all that stands around it as a conversation that the assistant is to answer.</summary>
    /// <param name="system">The system message of the form; null for none.</param>
    public IReadOnlyList<ChatMessage> Conversation(string? system)
    {
        List<ChatMessage> turns = [];
        var texts = "";
        foreach (var record in Examples)
            if (record.Question is null)
            {
                texts += record.Text + "\n\n";
            }
            else
            {
                turns.Add(new ChatMessage("user", texts + record.Question));
                turns.Add(new ChatMessage("assistant", record.Answer!));
                texts = "";
            }

        turns.Add(new ChatMessage("user", texts + Before + Text));
        return WithSystem(turns, System ?? system);
    }

    /// <summary>The conversation, with a system message in front where it has none of its own.</summary>
    internal static IReadOnlyList<ChatMessage> WithSystem(List<ChatMessage> messages, string? system) =>
        system is null || messages.Any(message => message.Role is "system" or "developer")
            ? messages
            : [new ChatMessage("system", system), .. messages];
}
