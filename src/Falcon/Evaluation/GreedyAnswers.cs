using Falcon.Data;
using Falcon.Models;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>What a model answers: the most likely token each time, until end of text or the limit.</summary>
public static class GreedyAnswers
{
    /// <summary>The default limit of new tokens.</summary>
    public const int DefaultMaxNewTokens = 128;

    /// <summary>Answers questions in batches.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="template">How a question becomes a prompt.</param>
    /// <param name="questions">The questions.</param>
    /// <param name="maxNewTokens">Upper limit of new tokens an answer.</param>
    /// <param name="progress">Called with the number of answered and of all questions.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>One answer a question, without special tokens and white space at its ends.</returns>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IReadOnlyList<string> Generate(
        CausalLM model, HfTokenizer tokenizer, PromptTemplate template, IReadOnlyList<string> questions,
        int maxNewTokens = DefaultMaxNewTokens, Action<int, int>? progress = null, CancellationToken cancellation = default)
    {
        var prompts = questions.Select(question => PromptTokens(tokenizer, template.Prompt(question))).ToList();
        var answers = Generation.Continue(
            model, prompts, new GenerationSettings(maxNewTokens), StopIds(model, tokenizer), tokenizer.PadId ?? 0, done => progress?.Invoke(done, prompts.Count), cancellation);
        return [.. answers.Select(tokens => tokenizer.Decode(tokens, skipSpecialTokens: true).Trim())];
    }

    /// <summary>The tokens that end an answer.</summary>
    internal static HashSet<int> StopIds(CausalLM model, HfTokenizer tokenizer) => [.. model.Config.EosTokenIds, .. tokenizer.EosId is { } end ? [end] : Array.Empty<int>()];

    /// <summary>The prompt as tokens, without an end-of-text token that the tokenizer may put after every text.</summary>
    internal static int[] PromptTokens(HfTokenizer tokenizer, string prompt)
    {
        var tokens = tokenizer.Encode(prompt);
        var closed = tokens.Length > 1 && tokens[^1] == tokenizer.EosId && !prompt.EndsWith(tokenizer.EosToken!, StringComparison.Ordinal);
        return closed ? tokens[..^1] : tokens;
    }
}
