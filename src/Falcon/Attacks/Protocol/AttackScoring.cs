using Falcon.Evaluation;
using Falcon.Evaluation.Suites;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// Multiple choice by likelihood under a model, whatever an attack does to it or to its input (<see cref="ScoringPass"/>): the one way in
/// which attacks are judged.
/// </summary>
internal sealed class AttackScoring(LoadedModel loaded, AttackData data, AttackSettings settings)
{
    /// <summary>A changed model must keep this share of its utility to count as recovered.</summary>
    public const double UtilityFloor = 0.9;

    private static readonly ScoringPass Plain = new();

    /// <summary>1 for every item whose right answer comes first, 0 for the others; ties count as wrong.</summary>
    public IReadOnlyList<double> RightFirst(IReadOnlyList<AttackItem> items, ScoringPass? pass = null) =>
        [.. items.Zip(ChoiceScores(items, pass), (item, scores) => IsFirst(scores, item.Gold) ? 1.0 : 0.0)];

    /// <summary>Share of the utility questions that are answered rightly; null where there are none.</summary>
    public double? Utility(ScoringPass? pass = null) => data.Utility.Count == 0 ? null : RightFirst(data.Utility, pass).Average();

    /// <summary>
    /// Whether a changed model keeps <see cref="UtilityFloor"/> of the utility that it had; true where no utility questions are given.
    /// </summary>
    public bool KeepsUtility(double? before, ScoringPass pass) => before is not { } level || Utility(pass) >= UtilityFloor * level;

    /// <summary>
    /// For every item the mean log-probability of the tokens of each choice (full answer, end-of-text included) or of its letter; float32
    /// log-softmax.
    /// </summary>
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
                Take(batch, Changed(model, sequences, batch, pass));
        var next = 0;
        return [.. items.Select(item => means[next..(next += item.Choices.Count)])];
    }

    /// <summary>Whether a choice scores higher than all others.</summary>
    public static bool IsFirst(double[] scores, int gold) => !scores.Where((score, i) => i != gold && !(score < scores[gold])).Any();

    /// <summary>Prompt and choice as tokens, one sequence a choice; what is scored begins at its start.</summary>
    public IReadOnlyList<ScoredSequence> Sequences(AttackItem item, ScoringPass? pass = null)
    {
        pass ??= Plain;
        var form = pass.Form ?? data.Form;
        var prompt = (pass.Prompt?.Invoke(item) ?? Prompt(item, form)) + pass.Opening;
        var template = form == AnswerForm.Letter ? data.Template with { EndOfText = false } : data.Template;
        return
        [
            .. item.Choices.Select(
                (choice, i) =>
                    WithPrefix(
                        AnswerScores.Sequence(
                            loaded.Tokenizer,
                            template,
                            prompt,
                            form == AnswerForm.Letter ? " " + LetterOf(i) : template.Completion(choice)
                        ),
                        pass.PrefixTokens
                    )
            ),
        ];
    }

    /// <summary>The text before the answer: the template's, or question and lettered choices.</summary>
    public string Prompt(AttackItem item, AnswerForm? form = null) => (form ?? data.Form) == AnswerForm.Letter
        ? MultipleChoicePrompt.Bare(new MultipleChoiceQuestion(item.Question, item.Choices, item.Gold))
        : data.Template.Prompt(item.Question);

    /// <summary>Puts tokens before a text, after its begin-of-text token.</summary>
    public ScoredSequence WithPrefix(ScoredSequence sequence, IReadOnlyList<int> prefix)
    {
        if (prefix.Count == 0) return sequence;
        var at = sequence.Tokens[0] == loaded.Tokenizer.BosId ? 1 : 0;
        return new ScoredSequence([.. sequence.Tokens[..at], .. prefix, .. sequence.Tokens[at..]], sequence.Start + prefix.Count);
    }

    /// <summary>The padding id of batches.</summary>
    public int PadId => loaded.Tokenizer.PadId ?? 0;

    private static char LetterOf(int choice) => (char)('A' + choice);

    private TokenScores[] Changed(CausalLM model, List<ScoredSequence> sequences, int[] batch, ScoringPass pass)
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
