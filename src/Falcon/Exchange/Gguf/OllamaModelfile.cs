using System.Text;
using Falcon.Tokenization;

namespace Falcon.Exchange.Gguf;

/// <summary>The Modelfile by which Ollama takes a GGUF file: where it is, the template of a conversation, and where answers stop.</summary>
internal static class OllamaModelfile
{
    /// <summary>The name that Ollama looks for.</summary>
    public const string Name = "Modelfile";

    private const string FirstLine = "# Made by falcon export gguf. To run the model: ollama create NAME -f Modelfile";

    /// <summary>Whether a file was written by <see cref="Text"/>, and so may be replaced.</summary>
    public static bool IsOurs(string path) => File.ReadLines(path).FirstOrDefault() == FirstLine;

    /// <summary>The text.</summary>
    /// <param name="file">Name of the GGUF file beside it.</param>
    /// <param name="template">The template; null for plain prompts.</param>
    /// <param name="stops">Tokens that end an answer.</param>
    /// <param name="tokenizer">Their texts.</param>
    public static string Text(string file, OllamaTemplate? template, StopTokens stops, HfTokenizer tokenizer)
    {
        var text = new StringBuilder(FirstLine).Append('\n');
        text.Append("FROM ./").Append(file).Append('\n');
        if (template is { IsExact: false })
            text.Append("# The chat template has no system turn, or treats turns of a longer conversation otherwise than this one.\n");
        text.Append("TEMPLATE \"\"\"").Append(template?.Text ?? "{{ .Prompt }}").Append("\"\"\"\n");
        foreach (var stop in stops.All.Select(id => tokenizer.Decode([id])).Where(stop => stop.Length > 0))
            text.Append("PARAMETER stop \"").Append(stop.Replace("\"", "\\\"", StringComparison.Ordinal)).Append("\"\n");
        return text.ToString();
    }
}
