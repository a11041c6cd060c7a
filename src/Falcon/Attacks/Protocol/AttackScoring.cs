using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Evaluation.Suites;
using Falcon.Models;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// Multiple choice by likelihood, under a model or an input that an attack may change (<see cref="ScoringPass"/>). Most attacks are judged
/// by it, and so are questions without an attack.
/// </summary>
/// <param name="loaded">The model under attack; borrowed.</param>
/// <param name="data">The questions, the prompt form and the form of the answers.</param>
/// <param name="settings">For cancellation.</param>
public sealed class AttackScoring(LoadedModel loaded, AttackData data, AttackSettings settings)
{
    /// <summary>Share of its utility that a changed model must keep; below it the change counts as damage, not as recovery.</summary>
    public const double UtilityFloor = 0.9;

    private static readonly ScoringPass Plain = new();

    /// <summary>The tokenizer, and the form in which the model is asked.</summary>
    public PromptEncoder Prompts { get; } =
        new(loaded.Tokenizer, data.PromptForm) { MaxTokens = loaded.Model.Config.MaxPositions };

    /// <summary>1 for every question whose right choice scores highest, 0 for the others; ties count as wrong.</summary>
    public IReadOnlyList<double> RightFirst(IReadOnlyList<AttackItem> items, ScoringPass? pass = null) =>
        [.. items.Zip(ChoiceScores(items, pass), (item, scores) => IsFirst(scores, item.Gold) ? 1.0 : 0.0)];

    /// <summary>
    /// Share of <see cref="AttackData.Utility"/> that is answered rightly, 0 to 1; null where there are no such questions.
    /// </summary>
    public double? Utility(ScoringPass? pass = null) => data.Utility.Count == 0 ? null : RightFirst(data.Utility, pass).Average();

    /// <summary>
    /// For every question the score of each choice: the mean log-probability (natural logarithm, float32 log-softmax) of the tokens of the
    /// full answer, end-of-text token included, or the log-probability of its letter.
    /// </summary>
    /// <param name="items">The questions.</param>
    /// <param name="pass">What is changed while they are scored; null for nothing.</param>
    public double[][] ChoiceScores(IReadOnlyList<AttackItem> items, ScoringPass? pass = null)
    {
        pass ??= Plain;
        var model = pass.Model ?? loaded.Model;
        List<ScoredSequence> sequences = [.. items.SelectMany(item => Sequences(item, pass))];
        var means = new double[sequences.Count];
        void Take(int[] batch, TokenScores[] scores)
        {
            for (var row = 0; row < batch.Length; row++) means[batch[row]] = scores[row].LogProbabilities.Average();
        }

        var batches = TokenLikelihoods.Batches(sequences);
        if (pass.Embedded is null && pass.AfterLayer is null)
            TokenLikelihoods.Run(model, sequences, batches, PadId, false, Take, settings.Cancellation);
        else
            foreach (var batch in batches)
                Take(batch, ScoreChanged(model, sequences, batch, pass));
        var next = 0;
        return [.. items.Select(item => means[next..(next += item.Choices.Count)])];
    }

    /// <summary>Whether a choice scores higher than all others; false for a tie.</summary>
    public static bool IsFirst(double[] scores, int gold) => !scores.Where((score, i) => i != gold && !(score < scores[gold])).Any();

    /// <summary>Prompt and choice as tokens, one sequence for each choice; the tokens of the choice are the scored ones.</summary>
    public IReadOnlyList<ScoredSequence> Sequences(AttackItem item, ScoringPass? pass = null)
    {
        pass ??= Plain;
        var form = pass.Form ?? data.Form;
        var asked = pass.Asked?.Invoke(item) ?? Asked(item, form);
        if (pass.Opening.Length > 0) asked = asked with { Opening = pass.Opening };
        return
        [
            .. item.Choices.Select(
                (choice, i) =>
                    WithPrefix(
                        ScoredSequence.Of(
                            form == AnswerForm.Letter
                                ? Prompts.EncodeStart(asked, LetterOf(i).ToString())
                                : Prompts.Encode(asked, choice)
                        ),
                        pass.PrefixTokens
                    )
            ),
        ];
    }

    /// <summary>The question as it is put to the model: alone, or with its lettered choices.</summary>
    /// <param name="item">The question.</param>
    /// <param name="form">The form of the answer; null for that of the data.</param>
    public AskedQuestion Asked(AttackItem item, AnswerForm? form = null) => (form ?? data.Form) == AnswerForm.Letter
        ? MultipleChoicePrompt.AskedBare(new MultipleChoiceQuestion(item.Question, item.Choices, item.Gold))
        : new AskedQuestion(item.Question);

    /// <summary>Where a prefix stands: before the question's own tokens.</summary>
    public int PrefixPlace => Prompts.QuestionStart;

    /// <summary>The sequence with tokens put before its question.</summary>
    public ScoredSequence WithPrefix(ScoredSequence sequence, IReadOnlyList<int> prefix)
    {
        if (prefix.Count == 0) return sequence;
        var at = PrefixPlace;
        return new ScoredSequence([.. sequence.Tokens[..at], .. prefix, .. sequence.Tokens[at..]], sequence.Start + prefix.Count);
    }

    /// <summary>The token id that pads batches.</summary>
    public int PadId => loaded.Tokenizer.PadId ?? 0;

    private static char LetterOf(int choice) => (char)('A' + choice);

    private TokenScores[] ScoreChanged(CausalLM model, List<ScoredSequence> sequences, int[] batch, ScoringPass pass)
    {
        settings.Cancellation.ThrowIfCancellationRequested();
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var (tokens, rows) = TokenLikelihoods.Inputs(sequences, batch, PadId);
        var read = model.EmbeddingRows(tokens.InputIds(model.Device)); // [B, T, H]
        var hidden = model.EmbedRows(pass.Embedded?.Invoke(read) ?? read); // [B, P + T, H]
        var added = hidden.shape[1] - tokens.Length;
        using var context = model.Causal(hidden.shape[1]);
        for (var layer = 0; layer < model.Config.LayerCount; layer++)
        {
            hidden = model.Layer(layer, hidden, context);
            if (pass.AfterLayer is { } change) hidden = change(layer, hidden);
        }

        return TokenLikelihoods.Score(
            model,
            [.. batch.Select(i => sequences[i])],
            rows,
            hidden.narrow(1, added, tokens.Length),
            distributions: false
        );
    }
}
