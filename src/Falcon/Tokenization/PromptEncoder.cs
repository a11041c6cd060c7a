using Falcon.ChatTemplates;
using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Tokenization;

/// <summary>
/// Turns questions and conversations into tokens, in one form and for one tokenizer. Training, evaluation, generation and attacks all
/// encode with it, so the same record gives the same tokens everywhere.
/// </summary>
/// <remarks>
/// Prompt and answer are encoded as one text and split after the tokens that this text shares with the prompt alone: a space that opens the
/// answer belongs to its first token, and so may the end of the prompt. Begin and end tokens stand once. In plain form the tokenizer adds
/// its own begin token; a rendered chat holds what the template writes, up to and including the token that ends the turn.
/// </remarks>
public sealed class PromptEncoder
{
    private static readonly string[] UnlikeQuestions = ["Apples?", "zebra?", "7?"];

    private readonly DateTimeOffset? _now;
    private readonly HashSet<string> _notes = [];
    private readonly Lazy<int> _questionStart;

    /// <summary>Binds a form to a tokenizer.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="form">
    /// The form; one that is still open counts as asked with questions of one's own (<see cref="FormKind.Auto"/>).
    /// </param>
    /// <exception cref="UserInputException">The form does not fit the tokenizer.</exception>
    public PromptEncoder(HfTokenizer tokenizer, PromptForm form)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(form);
        Tokenizer = tokenizer;
        _questionStart = new(FindQuestionStart);
        Form = form.Resolve(tokenizer.ChatTemplate is not null);
        if (Form.Date is { } date)
            _now = new DateTimeOffset(date, TimeOnly.MinValue, TimeSpan.Zero);
    }

    /// <summary>A tokenizer with a plain template, whatever else the tokenizer has.</summary>
    public static PromptEncoder Plain(HfTokenizer tokenizer, PromptTemplate? template = null) =>
        new(tokenizer, new PromptForm { Kind = FormKind.Plain, Template = template ?? new() });

    /// <summary>The tokenizer.</summary>
    public HfTokenizer Tokenizer { get; }

    /// <summary>The form, chat or plain.</summary>
    public PromptForm Form { get; }

    /// <summary>
    /// The most tokens of a text: what is longer is cut there, before any work is done on the rest, and <see cref="Notes"/> says so. Null
    /// for no limit.
    /// </summary>
    public int? MaxTokens { get; init; }

    /// <summary>Whether the chat template is used.</summary>
    public bool IsChat => Form.Kind == FormKind.Chat;

    /// <summary>What a reader of the result should know about the texts that were encoded so far; one sentence each.</summary>
    public IReadOnlyCollection<string> Notes => _notes;

    /// <summary>
    /// The tokens of a record: prompt, answer, and the form's end token. In chat form a conversation is rendered whole. A plain text has no
    /// prompt, and the end token where the plain template has one.
    /// </summary>
    /// <param name="record">A question, a conversation or a text.</param>
    /// <param name="answer">Another answer in place of the record's own, such as a wrong one.</param>
    /// <exception cref="UserInputException">The chat template cannot render the conversation; the message names the line.</exception>
    public PromptAndAnswer Encode(CorpusRecord record, string? answer = null)
    {
        ArgumentNullException.ThrowIfNull(record);
        if (record is { Question: null, Text: { } text }) return Split(Cut(Closed(Start(text, true))), []);
        var own = answer ?? record.Answer ?? throw new ArgumentException($"the record of line {record.Line} has no answer", nameof(record));
        return IsChat ? EncodeChat(Conversation(record), "", own, ended: true, record) : EncodePlain(Asked(record), own);
    }

    /// <summary>The tokens of a question as it is put to the model, an answer, and the form's end token.</summary>
    public PromptAndAnswer Encode(AskedQuestion asked, string answer)
    {
        ArgumentNullException.ThrowIfNull(asked);
        return IsChat && !asked.WithoutForm
            ? EncodeChat(Conversation(asked), asked.Opening, answer, ended: true)
            : EncodePlain(asked, answer);
    }

    /// <summary>
    /// The tokens of a question and the start of an answer, such as the letter of a choice, without an end token. In plain form a space
    /// stands before it.
    /// </summary>
    public PromptAndAnswer EncodeStart(AskedQuestion asked, string start)
    {
        ArgumentNullException.ThrowIfNull(asked);
        if (IsChat && !asked.WithoutForm)
            return EncodeChat(Conversation(asked), asked.Opening, start, ended: false);
        var prompt = PlainText(asked);
        return Split(Cut(Start(prompt + " " + start, true)), prompt.Length == 0 ? [] : Start(prompt, true));
    }

    /// <summary>The tokens of the prompt alone, for the model to continue: no end token follows it.</summary>
    public int[] EncodePrompt(AskedQuestion asked) => EncodePromptText(PromptText(asked), IsChat && !asked.WithoutForm);

    /// <summary>The tokens of the prompt of a record alone.</summary>
    /// <exception cref="UserInputException">The chat template cannot render the conversation; the message names the line.</exception>
    public int[] EncodePrompt(CorpusRecord record) => EncodePromptText(PromptText(record), IsChat);

    /// <summary>The tokens of a text that has the form already, or that has none, for the model to continue.</summary>
    /// <param name="text">The text.</param>
    /// <param name="isRendered">Whether it is a rendered chat, to which the tokenizer adds nothing.</param>
    public int[] EncodePromptText(string text, bool isRendered)
    {
        var tokens = Tokenizer.Encode(text, addSpecialTokens: !isRendered);
        // Some tokenizers end every text; a prompt goes on.
        var closed =
            !isRendered
            && tokens.Length > 1
            && tokens[^1] == Tokenizer.EosId
            && !text.EndsWith(Tokenizer.EosToken!, StringComparison.Ordinal);
        return closed ? tokens[..^1] : tokens;
    }

    /// <summary>The text before the answer.</summary>
    public string PromptText(AskedQuestion asked)
    {
        ArgumentNullException.ThrowIfNull(asked);
        return IsChat && !asked.WithoutForm ? Render(Conversation(asked), true) + asked.Opening : PlainText(asked);
    }

    /// <summary>The text before the answer of a record.</summary>
    /// <exception cref="UserInputException">The chat template cannot render the conversation; the message names the line.</exception>
    public string PromptText(CorpusRecord record) => IsChat ? Render(Conversation(record), true, record) : PlainText(Asked(record));

    /// <summary>The end token after an answer; empty where the form has none.</summary>
    public int[] EndTokens => IsChat ? [.. new[] { Tokenizer.TurnEndId ?? Tokenizer.EosId }.OfType<int>()] : Closed([]);

    /// <summary>
    /// Where the question's own tokens begin: after a begin token in plain form, at the user's message in chat form.
    /// </summary>
    public int QuestionStart => _questionStart.Value;

    private int FindQuestionStart()
    {
        // What prompts of questions with nothing in common begin with.
        int[][] prompts = [.. UnlikeQuestions.Select(text => EncodePrompt(new AskedQuestion(text)))];
        return IsChat ? prompts.Skip(1).Min(prompt => prompts[0].AsSpan().CommonPrefixLength(prompt))
            : prompts[0] is [var first, ..] && first == Tokenizer.BosId ? 1
            : 0;
    }

    /// <summary>The tokens of an answer after some prompt, with the form's end token.</summary>
    public int[] AnswerTokens(string answer)
    {
        var whole = Encode(new AskedQuestion("Question"), answer);
        return whole.Tokens[whole.AnswerStart..];
    }

    /// <summary>Whether tokens end with an end token: the tokenizer's or, in chat form, that of a turn.</summary>
    public bool IsClosed(IReadOnlyList<int> tokens) =>
        tokens is [.., var last] && (last == Tokenizer.EosId || (IsChat && last == Tokenizer.TurnEndId));

    private PromptAndAnswer EncodePlain(AskedQuestion asked, string answer)
    {
        var prompt = PlainText(asked);
        var tokens = Cut(Closed(Start(prompt + Form.Template.Completion(answer), true)));
        return Split(tokens, prompt.Length == 0 ? [] : Start(prompt, true));
    }

    private int[] Closed(int[] tokens) =>
        Form.Template.EndOfText && Tokenizer.EosId is { } end && (tokens.Length == 0 || tokens[^1] != end) ? [.. tokens, end] : tokens;

    private string PlainText(AskedQuestion asked)
    {
        if (asked.WithoutForm)
            return asked.Text + Opened(asked);
        var examples = string.Concat(asked.Examples.Select(record => Form.Template.Whole(record) + "\n\n"));
        return examples + asked.Before + (asked.Plain ?? Form.Template.Prompt(asked.Text)) + Opened(asked);
    }

    private string Opened(AskedQuestion asked) => asked.Opening.Length == 0 ? "" : Form.Template.Completion(asked.Opening);

    private AskedQuestion Asked(CorpusRecord record)
    {
        if (record.Messages.Count > 2)
            _notes.Add("plain form: of conversations with more than a question and an answer only the last of both are used");
        return new AskedQuestion(
            record.Question ?? throw new ArgumentException($"the record of line {record.Line} has no question", nameof(record))
        );
    }

    // Everything before the answer.
    private IReadOnlyList<ChatMessage> Conversation(CorpusRecord record) =>
        record.Messages.Count > 0 ? AskedQuestion.WithSystem([.. record.Messages.SkipLast(1)], Form.System) : Conversation(Asked(record));

    private IReadOnlyList<ChatMessage> Conversation(AskedQuestion asked) => asked.Conversation(Form.System);

    private PromptAndAnswer EncodeChat(
        IReadOnlyList<ChatMessage> before,
        string opening,
        string answer,
        bool ended,
        CorpusRecord? record = null
    )
    {
        var prompt = Render(before, true, record) + opening;
        var content = opening.Length == 0 ? answer : $"{opening} {answer}";
        var whole = Render([.. before, new ChatMessage("assistant", content)], false, record);
        var ending = EndingOf(whole, content, record);
        var text = whole[..(whole.Length - ending.Whole.Length)];
        NoteBoundary(prompt, text, content);
        var tokens = Start(ended ? text + ending.End : text, false);
        // A template without an end token leaves the tokenizer's: a model that never sees an end does not learn to stop.
        if (ended && ending.TokenId is null && Tokenizer.EosId is { } end && (tokens.Length == 0 || tokens[^1] != end))
            tokens = [.. tokens, end];
        return Split(Cut(tokens), Start(prompt, false));
    }

    // The ending that the template writes after any answer, or after this one where it depends on the answer.
    private TurnEnding EndingOf(string whole, string content, CorpusRecord? record)
    {
        if (Tokenizer.TurnEnding is { } usual && whole.EndsWith(usual.Whole, StringComparison.Ordinal))
            return usual;
        var at = whole.LastIndexOf(content.Trim(), StringComparison.Ordinal);
        return at >= 0
            ? TurnEnding.Split(Tokenizer, whole[(at + content.Trim().Length)..])
            : throw new UserInputException(
                $"{At(record)}the chat template does not show the assistant's last message as it is, so its tokens cannot be told from the "
                    + "template's; use --form plain, or another chat template."
            );
    }

    private void NoteBoundary(string prompt, string text, string content)
    {
        if (!text.StartsWith(prompt.TrimEnd(), StringComparison.Ordinal))
            _notes.Add(
                "chat form: the template begins an answer otherwise than it shows one (a thinking block, for instance); the answer is "
                    + "counted from where the two part"
            );
        else if (text.Length - prompt.TrimEnd().Length > content.Length && text[prompt.TrimEnd().Length..].Trim() != content.Trim())
            _notes.Add(
                "chat form: the template writes something between the prompt and the answer (an empty thinking block, for instance), which "
                    + "counts as part of the answer"
            );
    }

    private string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt, CorpusRecord? record = null)
    {
        string text;
        try
        {
            text = Tokenizer.RenderChat(messages, addGenerationPrompt, now: _now);
        }
        catch (Exception error) when (error is ChatTemplateException or UnsupportedCheckpointException)
        {
            throw new UserInputException(
                $"{At(record)}the chat template refuses the conversation ({error.Message}); "
                    + $"{(messages[0].Role == "system" ? "leave out the system message, change the roles" : "change the roles")}, "
                    + "or use --form plain.",
                error
            );
        }

        // A template that does not know a role leaves its messages out, or refuses.
        foreach (var message in messages)
            if (message.Role != "assistant" && !Shows(text, message.Content))
                throw new UserInputException(
                    $"{At(record)}the chat template leaves out the message of the role \"{message.Role}\"; take the message out, give it "
                        + "another role, or use --form plain."
                );
        return text;
    }

    // Templates trim messages, and some write the results of tools as JSON.
    private static bool Shows(string text, string content) =>
        text.Contains(content.Trim(), StringComparison.Ordinal)
        || text.Contains(TemplateJson.Write(content, null, ensureAscii: false)[1..^1], StringComparison.Ordinal);

    // One token more than the limit, which tells a text that is too long.
    private int[] Start(string text, bool addSpecialTokens) =>
        MaxTokens is { } most ? Tokenizer.EncodeStart(text, most + 1, addSpecialTokens) : Tokenizer.Encode(text, addSpecialTokens);

    private int[] Cut(int[] tokens)
    {
        if (MaxTokens is not { } most || tokens.Length <= most) return tokens;
        _notes.Add($"texts of more than {most} tokens, which are all that the model has positions for, are cut there");
        return tokens[..most];
    }

    private static string At(CorpusRecord? record) => record is null ? "" : $"{record.File}, line {record.Line}: ";

    private static PromptAndAnswer Split(int[] tokens, int[] prompt)
    {
        if (tokens.Length < 2)
            return new PromptAndAnswer(tokens, Math.Min(1, tokens.Length));
        var shared = prompt.Length == 0 ? 1 : tokens.AsSpan().CommonPrefixLength(prompt);
        return new PromptAndAnswer(tokens, Math.Clamp(shared, 1, tokens.Length - 1));
    }
}
