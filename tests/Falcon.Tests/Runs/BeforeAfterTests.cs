using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Runs;
using Falcon.Runs.Configuration;

namespace Falcon.Tests.Runs;

public sealed class BeforeAfterTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("questions", ProbeMetric.AnswerProbability)]
    [InlineData("texts", ProbeMetric.Perplexity)]
    [InlineData("questions texts", ProbeMetric.Perplexity)] // not every record has an answer
    [InlineData("texts questions", ProbeMetric.Perplexity)]
    public void Complete_NoProbesGiven_MeasuresWhatEveryRecordHas(string kinds, ProbeMetric expected)
    {
        var path = _folder.At("retain.jsonl");
        File.WriteAllLines(
            path,
            kinds
                .Split(' ')
                .Select(kind =>
                    kind == "texts" ? """{"text": "The quay is long."}""" : """{"question": "How long is the quay?", "answer": "Long."}"""
                )
        );
        var config = UnlearnConfig.FromPreset("falcon") with
        {
            Data = new DataSettings { Forget = [], Retain = [path] },
        };

        var evaluation = BeforeAfter.Complete(config);

        Assert.Equal(expected, Assert.Single(evaluation.Probes).Metric);
        Assert.Equal(kinds.Contains("questions", StringComparison.Ordinal) ? 1 : 0, evaluation.Questions.Count);
    }
}
