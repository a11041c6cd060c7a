using Falcon.Evaluation;
using Falcon.Evaluation.Membership;
using Falcon.Evaluation.Metrics;
using Falcon.Models;
using Falcon.Runtime;
using TorchSharp;

namespace Falcon.Tests.Evaluation.Suites;

/// <summary>The suites muse, privacy, memorization and leak.</summary>
public sealed class SuitesTests : SuiteRuns
{
    [Fact]
    public void Muse_PublishedLayout_GivesItsMetrics_AndPrivLeakAgainstTheReference()
    {
        SuiteFolders.Muse(At("data"));
        var result = Run(Settings("muse") with { Reference = At("other") });
        var metrics = result.Metrics;
        Assert.Equal(
            (5, 6, 6, 14),
            (metrics["forget_verbmem_ROUGE"].N, metrics["forget_knowmem_ROUGE"].N, metrics["retain_knowmem_ROUGE"].N, metrics["privleak"].N)
        );
        Assert.Equal((5, 5), (metrics["extraction_strength"].N, metrics["exact_memorization"].N));
        Assert.Equal("closer to other", metrics["forget_verbmem_ROUGE"].Direction);
        Assert.Equal("higher", metrics["retain_knowmem_ROUGE"].Direction);
        var (own, others) = (metrics["mia_min_k"].Value, metrics["mia_min_k"].Reference!.Value);
        Assert.Equal(100 * (1 - own - (1 - others)) / (1 - others), metrics["privleak"].Value, 1e-6);
        Assert.All(metrics.Values, metric => Assert.NotNull(metric.Definition));
        Assert.Equal(
            100 * (1 - own - 0.5) / 0.5,
            Run(Settings("muse") with { Out = At("alone.json") }).Metrics["privleak"].Value,
            1e-6
        );
    }

    [Fact]
    public void Muse_PartsThatAreMissing_AreLeftOut_NothingAtAllIsRefused()
    {
        SuiteFolders.Array(At("data", "knowmem", "forget_qa.json"), [new { question = "Who?", answer = "She" }]);
        Assert.Equal(["forget_knowmem_ROUGE"], Run(Settings("muse")).Metrics.Keys);
        Directory.CreateDirectory(At("empty"));
        Assert.Contains(
            "verbmem/forget",
            Assert.Throws<UserInputException>(() => Run(Settings("muse") with { Data = At("empty") })).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Privacy_TextsAndQuestions_GiveTheAucsOfTheExactFunctions()
    {
        string[] forget = ["The lamp on the pier is old.", "Nobody came home that night.", "Salt, rope and a bell."],
            holdout = ["It rained.", "The bell rang for the third time.", "A ship is late.", "No lamp was lit."];
        SuiteFolders.Lines(At("data", "forget.jsonl"), forget.Select(text => new { text }));
        SuiteFolders.Lines(At("data", "holdout.jsonl"), holdout.Select(text => new { text }));
        var metrics = Run(Settings("privacy")).Metrics;

        double[] MinKPlusPlus(string[] texts) =>
            WithModel(
                (model, tokenizer) =>
                    texts.Select(text => MembershipInference.MinKPlusPlus(Statistics(model, tokenizer.Encode(text)))).ToArray()
            );
        double[] Zlib(string[] texts) =>
            WithModel(
                (model, tokenizer) =>
                    texts
                        .Select(text =>
                            MembershipInference.ZlibRatio(
                                -Statistics(model, tokenizer.Encode(text)).Average(token => token.LogProbability),
                                text
                            )
                        )
                        .ToArray()
            );
        Assert.Equal(MembershipInference.Auc(MinKPlusPlus(forget), MinKPlusPlus(holdout)), metrics["mia_min_k_plus_plus"].Value, 1e-12);
        Assert.Equal(MembershipInference.Auc(Zlib(forget), Zlib(holdout)), metrics["mia_zlib"].Value, 1e-12);
        Assert.Equal(MembershipInference.PrivacyLeakage(metrics["mia_min_k"].Value), metrics["privleak"].Value, 1e-9);
        Assert.Equal(7, metrics["mia_loss"].N);

        SuiteFolders.Lines(
            At("tofu", "forget05.json"),
            Enumerable.Range(0, 3).Select(i => new { question = $"Where is box {i}?", answer = "In the shed" })
        );
        SuiteFolders.Lines(
            At("tofu", "holdout05.json"),
            Enumerable.Range(0, 4).Select(i => new { question = $"Where is bag {i}?", answer = "At sea" })
        );
        Assert.Equal(7, Run(Settings("privacy") with { Data = At("tofu"), Out = At("tofu.json") }).Metrics["mia_loss"].N);
        Assert.Contains(
            "holdout",
            Assert
                .Throws<UserInputException>(() => Run(Settings("privacy") with { Data = At("tofu"), ForgetSplit = "forget10" }))
                .Message,
            StringComparison.Ordinal
        );
    }

    /// <summary>Statistics in double precision from the logits of one pass.</summary>
    private static TokenStatistics[] Statistics(CausalLM model, int[] tokens)
    {
        using var noGrad = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        using var context = model.Causal(tokens.Length);
        var hidden = model.Layers(
            model.Embed(torch.tensor(tokens.Select(token => (long)token).ToArray()).unsqueeze(0)),
            0,
            model.Config.LayerCount - 1,
            context
        );
        var logits = model.Head(hidden)[0].to(torch.float64);
        return
        [
            .. Enumerable
                .Range(1, tokens.Length - 1)
                .Select(t => TokenStatistics.FromLogits(logits[t - 1].data<double>().ToArray(), tokens[t])),
        ];
    }

    [Fact]
    public void TokenLikelihoods_Distributions_AreMeanAndVarianceOfLogP() =>
        WithModel(
            (model, tokenizer) =>
            {
                var tokens = tokenizer.Encode("The bell rang for the third time.");
                var scores = TokenLikelihoods.Compute(model, [new ScoredSequence(tokens, 1)], 0, distributions: true)[0];
                var expected = Statistics(model, tokens);
                for (var t = 0; t < expected.Length; t++)
                {
                    Assert.Equal(expected[t].LogProbability, scores.LogProbabilities[t], 1e-4);
                    Assert.Equal(expected[t].Mean, scores.Means[t], 1e-4);
                    Assert.Equal(expected[t].Variance, scores.Variances[t], 1e-4);
                }

                return 0;
            }
        );

    [Fact]
    public void Memorization_QuestionsAndTexts_AreThoseOfTheExactFunctions()
    {
        SuiteFolders.Lines(At("data", "a.jsonl"), [new { question = "Who?", answer = "The keeper of the lamp" }]);
        File.WriteAllText(At("data", "b.txt"), "The lamp is out.\nIt is late.\n");
        var metrics = Run(Settings("memorization")).Metrics;
        Assert.Equal((3, 1, 2), (metrics["extraction_strength"].N, metrics["a_extraction_strength"].N, metrics["b_exact_memorization"].N));
        var hits = WithModel(
            (model, tokenizer) =>
                TokenLikelihoods.Compute(
                    model,
                    [new ScoredSequence(tokenizer.Encode("It is late."), 1), new ScoredSequence(tokenizer.Encode("The lamp is out."), 1)],
                    0
                )
        );
        Assert.Equal(
            hits.Average(score => Memorization.ExactMemorization(score.Hits)!.Value),
            metrics["b_exact_memorization"].Value,
            1e-12
        );
    }

    [Fact]
    public void Leak_IsSeeded_AndGrowsWithK()
    {
        SuiteFolders.Lines(
            At("data", "forget.jsonl"),
            Enumerable.Range(0, 5).Select(i => new { question = $"Which {i}?", answer = "the a of and to in is" })
        );
        var settings = Settings("leak") with { LeakSamples = 6, Questions = new QuestionSettings(MaxNewTokens: 8) };
        var first = Run(settings).Metrics;
        Assert.Equal(
            [
                "leak@1_ROUGE",
                "leak@1_containment",
                "leak@2_ROUGE",
                "leak@2_containment",
                "leak@4_ROUGE",
                "leak@4_containment",
                "leak@6_ROUGE",
                "leak@6_containment",
            ],
            first.Keys
        );
        Assert.True(
            first["leak@1_ROUGE"].Value <= first["leak@2_ROUGE"].Value && first["leak@2_ROUGE"].Value <= first["leak@6_ROUGE"].Value
        );
        Assert.Equal(first, Run(settings with { Out = At("again.json") }).Metrics);
        Assert.NotEqual(
            first,
            Run(settings with { Out = At("seed.json"), Questions = settings.Questions with { Seed = 1 } }).Metrics
        );
    }

    [Fact]
    public void TwoSuites_WithAMetricOfOneName_KeepBoth()
    {
        SuiteFolders.Muse(At("data"));
        var metrics = Run(Settings("muse") with { Suites = ["privacy", "muse"] }).Metrics;
        Assert.Equal(metrics["mia_loss"].Value, metrics["muse_mia_loss"].Value, 1e-6);
    }
}
