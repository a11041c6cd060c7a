using Falcon.Data;
using Falcon.Models;
using Falcon.Models.Generation;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>Greedy answers: the most likely token each time, until an end-of-text token or the limit.</summary>
public static class GreedyAnswers
{
    /// <summary>The default for the largest number of new tokens.</summary>
    public const int DefaultMaxNewTokens = 128;

    /// <summary>Answers questions in batches.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="prompts">Its tokenizer and the form in which it is asked.</param>
    /// <param name="questions">The tokens of the prompts (<see cref="PromptEncoder.EncodePrompt(CorpusRecord)"/>).</param>
    /// <param name="maxNewTokens">Largest number of new tokens in an answer.</param>
    /// <param name="progress">Called with the number of answered and of all questions.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>One answer for each question, without special tokens and without white space at its ends.</returns>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IReadOnlyList<string> Generate(
        CausalLM model, PromptEncoder prompts, IReadOnlyList<int[]> questions,
        int maxNewTokens = DefaultMaxNewTokens, Action<int, int>? progress = null, CancellationToken cancellation = default)
    {
        var tokenizer = prompts.Tokenizer;
        var (fitting, newTokens, _) = Fit(model, questions, maxNewTokens);
        var answers = Generation.Continue(
            model,
            fitting,
            new GenerationSettings(newTokens),
            StopIds(model, tokenizer),
            tokenizer.PadId ?? 0,
            done => progress?.Invoke(done, fitting.Count),
            cancellation
        );
        return [.. answers.Select(tokens => tokenizer.Decode(tokens, skipSpecialTokens: true).Trim())];
    }

    /// <summary>
    /// Prompts and a limit of new tokens that together stay within the model's positions: a prompt loses its beginning where it leaves no
    /// room for the answer, but keeps at least half of the positions; the limit of all answers is what the longest prompt leaves.
    /// </summary>
    /// <returns>The prompts, the limit, and how many prompts were cut.</returns>
    internal static (IReadOnlyList<int[]> Prompts, int NewTokens, int Cut) Fit(
        CausalLM model,
        IReadOnlyList<int[]> prompts,
        int maxNewTokens
    )
    {
        var positions = model.Config.MaxPositions;
        var room = Math.Max(positions - maxNewTokens, Math.Max(1, positions / 2));
        List<int[]> fitting = [.. prompts.Select(prompt => prompt.Length > room ? prompt[^room..] : prompt)];
        var longest = fitting.Count > 0 ? fitting.Max(prompt => prompt.Length) : 0;
        return (fitting, Math.Min(maxNewTokens, Math.Max(1, positions - longest)), prompts.Count(prompt => prompt.Length > room));
    }

    /// <summary>
    /// The tokens that end an answer: those of config.json and generation_config.json, the tokenizer's, and the one that ends a turn in the
    /// chat template.
    /// </summary>
    internal static HashSet<int> StopIds(CausalLM model, HfTokenizer tokenizer) => tokenizer.StopIds(model.Config.EosTokenIds);
}
