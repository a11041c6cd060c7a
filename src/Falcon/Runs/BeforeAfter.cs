using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Runs;

/// <summary>
/// The before/after table of a run: the probe scores of the model before and after unlearning, and of a control that was never taught the
/// forget set.
/// </summary>
internal static class BeforeAfter
{
    /// <summary>The evaluation with defaults filled in: probes on the forget and retain files, and one question of each kind.</summary>
    public static EvaluationConfig Complete(UnlearnConfig config)
    {
        var evaluation = config.Evaluation;
        if (evaluation.Samples == 0) return evaluation with { Probes = [], Questions = [] };
        if (evaluation.Probes.Count > 0) return evaluation;
        List<ProbeConfig> probes = [];
        List<QuestionConfig> questions = [];
        foreach (
            var (path, group) in config
                .Data.Forget.Select(path => (path, ScoreGroup.Forget))
                .Concat(config.Data.Retain.Distinct().Select(path => (path, ScoreGroup.Retain)))
        )
        {
            CorpusRecord? question = null;
            var asks = true; // of a file with questions and plain texts every record has a perplexity, and not every one an answer
            foreach (var record in Corpus.Stream(path, config.Data.Fields))
            {
                if (record.Question is null || record.Answer is null) asks = false;
                else question ??= record;
            }

            probes.Add(
                new ProbeConfig
                {
                    Name = $"{Path.GetFileNameWithoutExtension(path)}: {(asks ? "probability of the answers" : "perplexity")}",
                    Group = group,
                    Data = path,
                    Metric = asks ? ProbeMetric.AnswerProbability : ProbeMetric.Perplexity,
                }
            );
            if (question is not null && questions.All(one => one.Group != group))
                questions.Add(
                    new QuestionConfig
                    {
                        Group = group,
                        Question = question.Question!,
                        Answer = question.Answer!,
                    }
                );
        }

        return evaluation with { Probes = probes, Questions = evaluation.Questions.Count > 0 ? evaluation.Questions : questions };
    }

    /// <summary>The scores of the control: from a file, or measured on a model directory.</summary>
    /// <exception cref="UserInputException">The file or directory cannot be read.</exception>
    public static ProbeScores? Control(EvaluationConfig evaluation, UnlearnConfig config, ComputeOptions compute, RunContext context)
    {
        if (evaluation.Control is not { } path || evaluation.Probes.Count == 0) return null;
        if (!Directory.Exists(path)) return Read(path);
        var (weights, model) = Checkpoint.LoadModel(path, compute.DType, compute.Device);
        using (weights)
            return ProbeScores.Measure(
                model,
                new PromptEncoder(HfTokenizer.Load(path), config.Data.PromptForm),
                evaluation,
                config.Data.Fields,
                context.Log,
                context.Cancellation
            );
    }

    /// <summary>The rows of the table.</summary>
    public static IReadOnlyList<ScoreRow> Rows(EvaluationConfig evaluation, ProbeScores before, ProbeScores after, ProbeScores? control) =>
        [
            .. evaluation.Probes.Select(probe => new ScoreRow(
                probe.Group,
                probe.Name,
                probe.Metric == ProbeMetric.Perplexity ? "number" : "percent",
                WithReference(probe, before, control),
                WithReference(probe, after, control),
                control?.Scores.GetValueOrDefault(probe.Name)
            )),
        ];

    /// <summary>The questions with their answers.</summary>
    public static IReadOnlyList<AnsweredQuestion> Questions(
        EvaluationConfig evaluation,
        ProbeScores before,
        ProbeScores after,
        ProbeScores? control
    ) =>
        [
            .. evaluation.Questions.Select(question => new AnsweredQuestion(
                question.Group,
                question.Question,
                question.Answer,
                before.Answers[question.Question],
                after.Answers[question.Question],
                control?.Answers.GetValueOrDefault(question.Question)
            )),
        ];

    // A forget score should fall to the level of a model that was never taught, not below it.
    private static MetricValue WithReference(ProbeConfig probe, ProbeScores scores, ProbeScores? control)
    {
        var value = scores.Scores[probe.Name];
        if (control?.Scores.GetValueOrDefault(probe.Name) is not { } reference)
            return value;
        return value with
        {
            Reference = reference.Value,
            Direction = probe.Group == ScoreGroup.Forget ? "closer to the never-taught control" : value.Direction,
        };
    }

    private static ProbeScores Read(string path)
    {
        if (!File.Exists(path))
            throw new UserInputException(
                $"{path}: no such file or directory; evaluation.control takes a model directory or a file with a control's scores."
            );
        try
        {
            return
                JsonSerializer.Deserialize<ProbeScores>(File.ReadAllBytes(path), ResultJson.Options)
                    is { Scores: not null, Answers: not null } scores
                ? scores
                : throw new JsonException("scores or answers are missing");
        }
        catch (JsonException e)
        {
            throw new UserInputException(
                $"{path}: no file with a control's scores ({e.Message}). Give a model directory, or write the file anew.",
                e
            );
        }
    }
}
