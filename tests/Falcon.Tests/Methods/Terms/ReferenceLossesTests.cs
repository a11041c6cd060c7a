using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Terms;

public class ReferenceLossesTests
{
    public static TheoryData<string> GoldenNames => GoldenCases.Names("unlearn_losses");

    [Theory, MemberData(nameof(GoldenNames)), Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Losses_GoldenCase_AgreeWithOpenUnlearning(string name)
    {
        var golden = GoldenCases.OrSkip("unlearn_losses");
        var expected = golden.Case(name);
        var hyper = expected.GetProperty("hyper");
        double Value(string key) => hyper.GetProperty(key).GetDouble();
        using var scope = NewDisposeScope();
        var logits = new[] { "forget", "alternate", "retain" }.ToDictionary(
            set => set,
            set => golden.Tensors[set + ".logits"].requires_grad_()
        );
        Tensor Labels(string set) => golden.Tensors[set + ".labels"];
        Tensor Nll(string set) => ReferenceLosses.SequenceNll(logits[set], Labels(set));
        Tensor Reference(string set) => ReferenceLosses.SequenceNll(golden.Tensors[set + ".ref_logits"], Labels(set));

        // The file states hyper-parameters but not the method, which only the name tells.
        var forget = name switch
        {
            _ when name.Contains("grad_", StringComparison.Ordinal) => ReferenceLosses.GradAscent(logits["forget"], Labels("forget")),
            _ when name.Contains("simnpo", StringComparison.Ordinal) => // the published code counts labels before the shift
            ReferenceLosses.SimNpo(Nll("forget"), Labels("forget").ne(ReferenceLosses.IgnoredLabel).sum(1), Value("beta"), Value("delta")),
            _ when name.Contains("npo", StringComparison.Ordinal) => ReferenceLosses.Npo(Nll("forget"), Reference("forget"), Value("beta")),
            _ when name.Contains("dpo", StringComparison.Ordinal) => ReferenceLosses.Dpo(
                Nll("alternate"),
                Reference("alternate"),
                Nll("forget"),
                Reference("forget"),
                Value("beta")
            ),
            _ => throw new NotSupportedException(name),
        };
        var retain =
            hyper.GetProperty("retain_loss_type").GetString() == "KL"
                ? ReferenceLosses.KullbackLeibler(logits["retain"], golden.Tensors["retain.ref_logits"])
                : ReferenceLosses.MeanNll(logits["retain"], Labels("retain"));
        var loss = name.Contains("grad_ascent", StringComparison.Ordinal)
            ? forget
            : ReferenceLosses.Total(forget, retain, Value("gamma"), Value("alpha"));

        Assert.Equal(expected.GetProperty("loss").GetDouble(), loss.item<float>(), expected.GetProperty("loss_tolerance_abs").GetDouble());
        var sets = expected.GetProperty("logit_grads_stored_for").EnumerateArray().Select(set => set.GetString()!).ToArray();
        var gradients = autograd.grad([loss], [.. sets.Select(set => logits[set])]);
        for (var i = 0; i < sets.Length; i++)
            GoldenCases.CloseRelative(
                golden.Tensors[$"{name}.grad_{sets[i]}_logits"],
                gradients[i],
                expected.GetProperty("grad_tolerance_rel_to_max_abs").GetDouble(),
                $"{name} {sets[i]}"
            );
    }

    [Fact, Trait("Category", "Parity"), Trait("Parity", "true")]
    public void SequenceNll_GoldenBatches_AgreeWithOpenUnlearning()
    {
        var golden = GoldenCases.OrSkip("unlearn_losses");
        using var scope = NewDisposeScope();
        foreach (var entry in golden.Json.GetProperty("batch_nll_sum").EnumerateObject())
        {
            var (set, model) = (entry.Name.Split('.')[0], entry.Name.Split('.')[1]);
            var nll = ReferenceLosses.SequenceNll(
                golden.Tensors[set + (model == "ref" ? ".ref_logits" : ".logits")],
                golden.Tensors[set + ".labels"]
            );
            GoldenCases.Close(tensor(entry.Value.EnumerateArray().Select(e => e.GetDouble()).ToArray()), nll, 1e-4, entry.Name);
        }
        foreach (var entry in golden.Json.GetProperty("hf_mean_nll").EnumerateObject())
            Assert.Equal(
                entry.Value.GetDouble(),
                ReferenceLosses.MeanNll(golden.Tensors[entry.Name + ".logits"], golden.Tensors[entry.Name + ".labels"]).item<float>(),
                1e-5
            );
    }

    [Fact]
    public void GradDiff_IsTheWeightedTotal()
    {
        using var scope = NewDisposeScope();
        var (logits, labels, _) = Inputs();
        var expected = (-0.5 * ReferenceLosses.MeanNll(logits, labels).item<float>()) + (2 * 3.0);
        Assert.Equal(expected, ReferenceLosses.GradDiff(logits, labels, tensor(3f), 0.5, 2).item<float>(), 1e-5);
    }

    [Fact]
    public void KullbackLeibler_MasksPositions_AndIsZeroForEqualModels()
    {
        using var scope = NewDisposeScope();
        var (logits, _, mask) = Inputs();
        var other = logits.roll(1, 2);
        var spoiled = other.masked_fill(mask.logical_not().unsqueeze(-1), 50);
        Assert.Equal(
            ReferenceLosses.KullbackLeibler(logits, other, mask).item<float>(),
            ReferenceLosses.KullbackLeibler(logits, spoiled, mask).item<float>()
        );
        Assert.Equal(0, ReferenceLosses.KullbackLeibler(logits, logits).item<float>(), 1e-6f);
    }

    [Fact]
    public void Losses_GradientsAgreeWithFiniteDifferences()
    {
        using var scope = NewDisposeScope();
        var (logits, labels, mask) = Inputs();
        var other = logits.roll(1, 2);
        Tensor Reference() => ReferenceLosses.SequenceNll(other, labels);
        Tensor Nll(Tensor x) => ReferenceLosses.SequenceNll(x, labels);
        FiniteDifferences.Check(x => ReferenceLosses.GradAscent(x, labels), logits);
        FiniteDifferences.Check(x => ReferenceLosses.Npo(Nll(x), Reference(), 0.5), logits);
        FiniteDifferences.Check(x => ReferenceLosses.SimNpo(Nll(x), ReferenceLosses.TargetCounts(labels), 2, 0.1), logits);
        FiniteDifferences.Check(x => ReferenceLosses.Dpo(Nll(x), Reference(), Nll(x.flip(2)), Reference(), 0.5), logits);
        FiniteDifferences.Check(x => ReferenceLosses.KullbackLeibler(x, other, mask), logits);
    }

    [Fact]
    public void Losses_LeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        var (logits, labels, mask) = Inputs();
        var nll = ones(2);
        TensorLeaks.Check(1, results => results.Add(ReferenceLosses.SequenceNll(logits, labels)));
        TensorLeaks.Check(1, results => results.Add(ReferenceLosses.TargetCounts(labels)));
        TensorLeaks.Check(1, results => results.Add(ReferenceLosses.GradAscent(logits, labels)));
        TensorLeaks.Check(1, results => results.Add(ReferenceLosses.GradDiff(logits, labels, nll)));
        TensorLeaks.Check(1, results => results.Add(ReferenceLosses.Npo(nll, nll, 1)));
        TensorLeaks.Check(1, results => results.Add(ReferenceLosses.SimNpo(nll, nll, 1)));
        TensorLeaks.Check(1, results => results.Add(ReferenceLosses.Dpo(nll, nll, nll, nll, 1)));
        TensorLeaks.Check(1, results => results.Add(ReferenceLosses.KullbackLeibler(logits, logits, mask)));
    }

    private static (Tensor Logits, Tensor Labels, Tensor Mask) Inputs()
    {
        using var generator = new Generator(5);
        return (
            randn([2, 4, 7], generator: generator),
            tensor(new[] { -100L, 3, 6, 0, 1, 2, -100, 5 }, 2, 4),
            tensor(new[] { false, true, true, true, true, true, false, true }, 2, 4)
        );
    }
}
