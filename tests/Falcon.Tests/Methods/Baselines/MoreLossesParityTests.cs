using Falcon.Methods.Baselines;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Baselines;

/// <summary>
/// Losses of other toolkits and newer papers against their formulas in float64. The files state hyper-parameters; the loss is told by the
/// case's name.
/// </summary>
public sealed class MoreLossesParityTests
{
    private const string Golden = "more_losses";

    public static TheoryData<string> Losses => Named(multipliers: false);

    public static TheoryData<string> Multipliers => Named(multipliers: true);

    [Theory, MemberData(nameof(Losses)), Trait("Category", "Parity")]
    public void Loss_GoldenCase_AgreesInValueAndGradient(string name)
    {
        var golden = GoldenCases.OrSkip(Golden);
        var expected = golden.Case(name);
        var hyper = expected.GetProperty("hyper");
        double Value(string key) => hyper.GetProperty(key).GetDouble();
        var inputs = new FixtureTensors(Fixtures.At("falcon", golden.Json.GetProperty("inputs").GetString()!));
        var set = expected.GetProperty("gradient").GetString()!;
        using var scope = NewDisposeScope();
        var (logits, labels) = (inputs[set + ".logits"].requires_grad_(), inputs[set + ".labels"]);

        var loss = Kind(name) switch
        {
            "wga" => WeightedAscent.Of(logits, labels, Value("beta")),
            "satimp" => SaturationImportance.Of(logits, labels, Value("beta1"), Value("beta2")),
            "ceu" => UnlikelyLabels.Of(logits, labels, hyper.GetProperty("ignore_first_n_answer_tokens").GetInt32()),
            "pdu_forget" => LogitMargin.Of(logits, labels),
            "jensun_forget" => RefusalDivergence.Of(
                logits,
                labels,
                [.. hyper.GetProperty("refusal_tokens").EnumerateArray().Select(id => id.GetInt32())]
            ),
            "jensun_retain" => AnswerDivergence.Of(logits, inputs[set + ".ref_logits"], labels),
            _ => throw new NotSupportedException(name),
        };

        Assert.Equal(
            expected.GetProperty("loss_float64").GetDouble(),
            loss.item<float>(),
            expected.GetProperty("loss_tolerance_abs").GetDouble()
        );
        GoldenCases.CloseRelative(
            golden.Tensors[name + ".grad"],
            autograd.grad([loss], [logits])[0],
            expected.GetProperty("grad_tolerance_rel_to_max_abs").GetDouble(),
            name
        );
    }

    [Theory, MemberData(nameof(Multipliers)), Trait("Category", "Parity")]
    public void Multiplier_GoldenCase_FollowsTheRetainLosses(string name)
    {
        var expected = GoldenCases.OrSkip(Golden).Case(name);
        var hyper = expected.GetProperty("hyper");
        using var loss = new MultipliedLoss(
            hyper.GetProperty("start").GetDouble(),
            hyper.GetProperty("retain_loss_eps").GetDouble(),
            hyper.GetProperty("dual_step_size").GetDouble(),
            warmupSteps: 0
        );
        var used = expected.GetProperty("multiplier_used").EnumerateArray().Select(one => one.GetDouble()).ToList();
        var step = 0;
        foreach (var retain in expected.GetProperty("retain_losses").EnumerateArray())
        {
            Assert.Equal(used[step], loss.StepWeight(1), 1e-9);
            Assert.Equal(used[step], loss.Measures.Values.Single(), 1e-9);
            loss.AfterStep(step++, retain.GetDouble());
        }

        Assert.Equal(expected.GetProperty("multiplier_after").GetDouble(), loss.State.Values.Single(), 1e-9);
    }

    [Fact]
    public void Multiplier_InTheWarmUp_Stays_AndIsTakenUpAgain()
    {
        using var loss = new MultipliedLoss(start: 2, limit: 0.5, rate: 3, warmupSteps: 2);
        for (var step = 0; step < 3; step++)
        {
            Assert.Equal(2, loss.StepWeight(1));
            loss.AfterStep(step, 1.5);
        }

        Assert.Equal(5, loss.StepWeight(1));
        using var resumed = new MultipliedLoss(start: 2, limit: 0.5, rate: 3, warmupSteps: 2);
        resumed.Restore(loss.State);
        Assert.Equal(5, resumed.StepWeight(1));
    }

    [Fact]
    public void Losses_LeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var (logits, other) = (randn([2, 5, 7], generator: generator), randn([2, 5, 7], generator: generator));
        var labels = tensor(new long[] { -100, 3, 6, 0, 1, 2, -100, 5, 4, -100 }, 2, 5);
        TensorLeaks.Check(1, results => results.Add(SaturationImportance.Of(logits, labels, 5, 1)));
        TensorLeaks.Check(1, results => results.Add(UnlikelyLabels.Of(logits, labels, 1)));
        TensorLeaks.Check(1, results => results.Add(LogitMargin.Of(logits, labels)));
        TensorLeaks.Check(1, results => results.Add(RefusalDivergence.Of(logits, labels, [4, 2])));
        TensorLeaks.Check(1, results => results.Add(AnswerDivergence.Of(logits, other, labels)));
    }

    [Fact]
    public void Divergences_AreBetweenZeroAndLn2()
    {
        using var scope = NewDisposeScope();
        var labels = tensor(new long[] { -100, 1, 1, 1 }, 1, 4);
        Tensor Sure(int token) => zeros([1, 4, 3]).index_fill(2, tensor(new long[] { token }), 80);
        Assert.Equal(Math.Log(2), RefusalDivergence.Of(Sure(0), labels, [2]).item<float>(), 1e-6);
        Assert.Equal(0, RefusalDivergence.Of(Sure(2), labels, [2]).item<float>(), 1e-6);
        Assert.Equal(Math.Log(2), AnswerDivergence.Of(Sure(0), Sure(1), labels).item<float>(), 1e-6);
        Assert.Equal(0, AnswerDivergence.Of(Sure(1), Sure(1), labels).item<float>(), 1e-6);
        // Every answer is as short as what is left out: no loss, and a gradient of 0.
        Assert.Equal(0, UnlikelyLabels.Of(Sure(0), labels, 3).item<float>());
    }

    private static string Kind(string name)
    {
        string[] kinds = ["wga", "satimp", "ceu", "pdu_forget", "pdu_multiplier", "jensun_forget", "jensun_retain"];
        return kinds.FirstOrDefault(kind => name.StartsWith(kind, StringComparison.Ordinal)) ?? name;
    }

    private static TheoryData<string> Named(bool multipliers)
    {
        if (!File.Exists(Fixtures.At("falcon", Golden + ".json"))) return [""];
        var cases = GoldenCases.OrSkip(Golden).Json.GetProperty("cases").EnumerateObject().Select(entry => entry.Name);
        return [.. cases.Where(name => Kind(name) == "pdu_multiplier" == multipliers)];
    }
}
