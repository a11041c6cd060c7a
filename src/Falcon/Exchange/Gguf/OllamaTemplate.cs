using System.Text;
using Falcon.ChatTemplates;
using Falcon.Data;
using Falcon.Tokenization;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// The chat template of a tokenizer in the language of Ollama's Modelfile (Go's text/template): the texts that the Jinja template writes
/// before a system message, before a question, between question and answer, and between an answer and the next question.
/// </summary>
internal sealed class OllamaTemplate
{
    private const string System = "Answer:in-verse",
        Question = "Which:colour",
        Answer = "Forty:two",
        Second = "Which:size";

    private readonly HfTokenizer _tokenizer;

    private OllamaTemplate(HfTokenizer tokenizer, string text, bool isExact) => (_tokenizer, Text, IsExact) = (tokenizer, text, isExact);

    /// <summary>The Go template.</summary>
    public string Text { get; }

    /// <summary>Whether the pieces, put together again, are what the Jinja template writes for a longer conversation.</summary>
    public bool IsExact { get; }

    /// <summary>Translates the template; null where there is none, or it does not render a question and its answer.</summary>
    public static OllamaTemplate? Of(HfTokenizer tokenizer)
    {
        if (tokenizer.ChatTemplate is null)
            return null;
        var first = Pieces(tokenizer, [("user", Question), ("assistant", Answer), ("user", Second)]);
        if (first is not [var start, var answer, var next, var end])
            return null;
        var withSystem = Pieces(tokenizer, [("system", System), ("user", Question)]);
        string? systemStart = null,
            question = null;
        if (withSystem is [var before, var between, _])
            (systemStart, question) = (before, between);
        var text = new StringBuilder("{{ $before := \"\" }}{{ range .Messages }}");
        text.Append("{{ if eq .Role \"system\" }}");
        text.Append(systemStart is null ? Literal(start) : Literal(systemStart));
        text.Append("{{ .Content }}").Append(systemStart is null ? "\n\n" : "");
        text.Append("{{ else if eq .Role \"assistant\" }}").Append(Literal(answer)).Append("{{ .Content }}");
        text.Append("{{ else }}{{ if eq $before \"\" }}").Append(Literal(start));
        text.Append("{{ else if eq $before \"system\" }}").Append(systemStart is null ? "" : Literal(question!));
        text.Append("{{ else }}").Append(Literal(next)).Append("{{ end }}{{ .Content }}{{ end }}");
        text.Append("{{ $before = .Role }}{{ end }}{{ if ne $before \"assistant\" }}").Append(Literal(end)).Append("{{ end }}");

        var whole = new OllamaTemplate(tokenizer, text.ToString(), isExact: false);
        var isExact =
            systemStart is not null
            && whole.Renders(
                [
                    ("system", System),
                    ("user", Question),
                    ("assistant", Answer),
                    ("user", Second),
                    ("assistant", "It:is"),
                    ("user", "Why:so"),
                ],
                [systemStart, question!, answer, next, answer, next, end]
            );
        return new OllamaTemplate(tokenizer, whole.Text, isExact);
    }

    private bool Renders((string Role, string Content)[] messages, string[] pieces)
    {
        var joined = string.Concat(pieces.Select((piece, i) => piece + (i < messages.Length ? messages[i].Content : "")));
        return Pieces(_tokenizer, messages) is { } found
            && joined == string.Concat(found.Select((piece, i) => piece + (i < messages.Length ? messages[i].Content : "")));
    }

    // The texts around the contents, without a begin token, which Ollama adds itself; null where a content is missing or changed.
    private static List<string>? Pieces(HfTokenizer tokenizer, (string Role, string Content)[] messages)
    {
        string text;
        try
        {
            text = tokenizer.RenderChat(
                messages.Select(message => new ChatMessage(message.Role, message.Content)),
                addGenerationPrompt: true
            );
        }
        catch (ChatTemplateException)
        {
            return null;
        }

        if (
            tokenizer.BosToken is { } begin
            && tokenizer.Encode("") is [var id]
            && id == tokenizer.BosId
            && text.StartsWith(begin, StringComparison.Ordinal)
        )
            text = text[begin.Length..];
        List<string> pieces = [];
        var from = 0;
        foreach (var (_, content) in messages)
        {
            var at = text.IndexOf(content, from, StringComparison.Ordinal);
            if (at < 0)
                return null;
            pieces.Add(text[from..at]);
            from = at + content.Length;
        }

        pieces.Add(text[from..]);
        return pieces;
    }

    // Braces and quotes that Go's templates or the Modelfile would read as their own.
    private static string Literal(string text) =>
        text.Replace("{{", "{{ \"{{\" }}", StringComparison.Ordinal)
            .Replace("\"\"\"", "{{ \"\\\"\" }}{{ \"\\\"\" }}{{ \"\\\"\" }}", StringComparison.Ordinal);
}
