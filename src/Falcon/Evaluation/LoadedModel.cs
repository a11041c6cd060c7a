using System.Globalization;
using Falcon.Data;
using Falcon.Models;
using Falcon.Models.Generation;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>
/// A model with its tokenizer, ready to be measured or attacked. Suites use two batched passes, likelihood and generation; both continue
/// from the examples that an interrupted evaluation has scored.
/// </summary>
/// <param name="Model">The whole model; borrowed.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
public sealed record LoadedModel(CausalLM Model, HfTokenizer Tokenizer)
{
    private const int AnswersAtATime = 64;

    private readonly HfTokenizer? _tokenizer = Tokenizer;
    private readonly string _directory = "the model";

    /// <summary>Its tokenizer.</summary>
    /// <exception cref="UserInputException">The model directory has none, and what is measured needs one.</exception>
    public HfTokenizer Tokenizer
    {
        get =>
            _tokenizer
            ?? throw new UserInputException(
                $"{_directory}: there is no tokenizer.json and no tokenizer.model, which these data need. Copy the tokenizer files of the "
                    + "model into this directory, or give rows of input_ids (suite perplexity)."
            );
        init => _tokenizer = value;
    }

    private LoadedModel(CausalLM model, string directory) : this(model, (HfTokenizer)null!) => _directory = directory;

    /// <summary>A model of a directory without a tokenizer, for data that come as token ids.</summary>
    internal static LoadedModel WithoutTokenizer(CausalLM model, string directory) => new(model, directory);

    /// <summary>Any valid id for padding, which no real token sees.</summary>
    internal int PadId => _tokenizer?.PadId ?? 0;

    /// <summary>Where scored examples are kept; null for nowhere.</summary>
    internal ExampleLog? Log { get; init; }

    /// <summary>What the kept examples depend on besides their own tokens.</summary>
    internal string Scope { get; init; } = "";

    /// <summary>The likelihood pass: log-probabilities of the scored tokens of texts (<see cref="TokenLikelihoods"/>).</summary>
    /// <param name="sequences">The texts; each with at least one scored token.</param>
    /// <param name="stage">Name of the stage in the log.</param>
    /// <param name="log">Where progress goes.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <param name="distributions">
    /// Whether <see cref="TokenScores.Means"/> and <see cref="TokenScores.Variances"/> are computed too.
    /// </param>
    /// <returns>The scores of each text, in the order given.</returns>
    /// <exception cref="NumericalFailureException">A log-probability is not finite.</exception>
    public TokenScores[] Score(
        IReadOnlyList<ScoredSequence> sequences,
        string stage,
        IRunLog log,
        CancellationToken cancellation,
        bool distributions = false
    )
    {
        var results = new TokenScores[sequences.Count];
        var kind = distributions ? "distributions" : "likelihoods";
        var done = 0;
        void Take(int[] batch, IEnumerable<TokenScores> scores)
        {
            foreach (var (index, score) in batch.Zip(scores)) results[index] = score;
            log.Progress(stage, done += batch.Length, sequences.Count);
        }

        List<string> KeysOf(int[] batch) => this.KeysOf(kind, batch, i => [sequences[i].Start, .. sequences[i].Tokens]);
        List<int[]> missing = [];
        foreach (var batch in TokenLikelihoods.Batches(sequences))
            if (Log?.FindAll(KeysOf(batch)) is { } found)
                Take(batch, found.Select(example => example.Scores()));
            else
                missing.Add(batch);
        TokenLikelihoods.Run(
            Model,
            sequences,
            missing,
            PadId,
            distributions,
            (batch, scores) =>
            {
                RequireFinite(stage, scores);
                Log?.Append(scores.Zip(KeysOf(batch), (score, key) => LoggedExample.Of(key, score, distributions)));
                Take(batch, scores);
            },
            cancellation
        );
        return results;
    }

    /// <summary>
    /// The likelihood pass over question records: the answer, its paraphrase, and wrong answers of each (<see cref="AnswerScores"/>).
    /// </summary>
    /// <param name="records">Questions with answers.</param>
    /// <param name="prompts">The form in which the model is asked, with its tokenizer.</param>
    /// <param name="stage">Name of the stage in the log.</param>
    /// <param name="log">Where progress goes.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <returns>The scores of each record, in the order given.</returns>
    /// <exception cref="NumericalFailureException">A log-probability is not finite.</exception>
    public IReadOnlyList<AnswerScores> ScoreAnswers(
        IReadOnlyList<CorpusRecord> records,
        PromptEncoder prompts,
        string stage,
        IRunLog log,
        CancellationToken cancellation
    ) => AnswerScores.Of(records, Score(AnswerScores.Sequences(prompts, records), stage, log, cancellation));

    /// <summary>
    /// The generation pass: prompts of similar length are continued together. Each batch has a random generator of its own, seeded by
    /// (seed, batch), so a resumed run samples what an undisturbed one would have. A prompt that leaves no room for an answer in the
    /// model's positions loses its beginning, but keeps at least half of the positions; the log says so.
    /// </summary>
    /// <param name="prompts">The tokens of each prompt (<see cref="PromptEncoder.EncodePrompt(CorpusRecord)"/>).</param>
    /// <param name="settings">Number of new tokens, temperature (0 is greedy), and seed.</param>
    /// <param name="stage">Name of the stage in the log.</param>
    /// <param name="log">Where progress goes.</param>
    /// <param name="cancellation">Stops between batches and tokens.</param>
    /// <returns>The new tokens for each prompt, without the token that ended the answer.</returns>
    public int[][] Answer(
        IReadOnlyList<int[]> prompts,
        GenerationSettings settings,
        string stage,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        var (fitting, newTokens, cut) = GreedyAnswers.Fit(Model, prompts, settings.MaxNewTokens);
        if (newTokens < settings.MaxNewTokens)
            log.Information(
                $"{stage}: answers end after {newTokens} tokens, because the model has {Model.Config.MaxPositions} positions for prompt "
                    + $"and answer"
            );
        settings = settings with { MaxNewTokens = newTokens };
        if (cut > 0)
            log.Information(
                $"{stage}: {cut} of {prompts.Count} prompts lose their beginning, because prompt and answer together exceed the model's "
                    + $"{Model.Config.MaxPositions} positions"
            );
        var stops = GreedyAnswers.StopIds(Model, Tokenizer);
        var results = new int[prompts.Count][];
        var kind = string.Create(CultureInfo.InvariantCulture, $"answers {settings.MaxNewTokens} {settings.Temperature} {settings.Seed}");
        var (done, index) = (0, 0);
        foreach (var batch in Enumerable.Range(0, fitting.Count).OrderBy(i => fitting[i].Length).ThenBy(i => i).Chunk(AnswersAtATime))
        {
            cancellation.ThrowIfCancellationRequested();
            var keys = KeysOf(kind, batch, i => fitting[i]);
            int[][] answers;
            if (Log?.FindAll(keys) is { } found)
            {
                answers = [.. found.Select(example => example.Answer ?? [])];
            }
            else
            {
                var seeded = settings with { Seed = (long)Seeds.Derive((ulong)settings.Seed, "answers", index), BatchSize = batch.Length };
                answers = Generation.Continue(
                    Model,
                    [.. batch.Select(i => fitting[i])],
                    seeded,
                    stops,
                    Tokenizer.PadId ?? 0,
                    cancellation: cancellation
                );
                Log?.Append(answers.Zip(keys, (answer, key) => new LoggedExample(key) { Answer = answer }));
            }

            for (var row = 0; row < batch.Length; row++) results[batch[row]] = answers[row];
            index++;
            log.Progress(stage, done += batch.Length, fitting.Count);
        }

        return results;
    }

    /// <summary>Greedy answers as text.</summary>
    /// <param name="prompts">The tokens of the prompts.</param>
    /// <param name="maxNewTokens">Largest number of new tokens in an answer.</param>
    /// <param name="stage">Name of the stage in the log.</param>
    /// <param name="log">Where progress goes.</param>
    /// <param name="cancellation">Stops between batches and tokens.</param>
    /// <returns>One answer for each prompt, without special tokens and without white space at its ends.</returns>
    public IReadOnlyList<string> GreedyTexts(
        IReadOnlyList<int[]> prompts,
        int maxNewTokens,
        string stage,
        IRunLog log,
        CancellationToken cancellation
    ) =>
        [
            .. Answer(
                    prompts,
                    new GenerationSettings(maxNewTokens),
                    stage,
                    log,
                    cancellation
                )
                .Select(tokens => Tokenizer.Decode(tokens, skipSpecialTokens: true).Trim()),
        ];

    /// <summary>Checks what a likelihood pass has computed.</summary>
    /// <exception cref="NumericalFailureException">A log-probability is not finite.</exception>
    internal static void RequireFinite(string stage, IEnumerable<TokenScores> scores)
    {
        var values = scores.SelectMany(score => score.LogProbabilities.Concat(score.Variances));
        if (values.FirstOrDefault(value => !double.IsFinite(value), 0.0) is not 0.0 and var wrong)
            throw new NumericalFailureException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{stage}: the model gives a log-probability that is not finite ({wrong}); its weights are damaged, or it needs "
                        + $"--dtype float32. Nothing was written."
                )
            );
    }

    internal List<string> KeysOf(string kind, int[] batch, Func<int, int[]> tokens) =>
        Log is null ? [] : [.. batch.Select(i => ExampleLog.KeyOf(Scope, kind, i, tokens(i)))];
}
