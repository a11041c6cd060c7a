using Falcon.Methods.Falcon;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Falcon;

public class ContrastiveLossTests
{
    public static TheoryData<string> GoldenNames => GoldenCases.Names("infonce");

    [Theory, MemberData(nameof(GoldenNames)), Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Compute_GoldenCase_AgreesWithThePublishedCode(string name)
    {
        var golden = GoldenCases.OrSkip("infonce");
        var expected = golden.Case(name);
        var set = name[..name.LastIndexOf(".tau", StringComparison.Ordinal)];
        using var scope = NewDisposeScope();
        var anchor = golden.Tensors[set + ".anchor"].requires_grad_();
        var positive = golden.Tensors[set + ".positive_vector"] * expected.GetProperty("positive_scale").GetDouble();

        var loss = ContrastiveLoss.Compute(
            anchor,
            positive,
            golden.Tensors[set + ".negatives"],
            temperature: expected.GetProperty("temperature").GetDouble()
        );
        var gradient = autograd.grad([loss], [anchor])[0];

        Assert.Equal(expected.GetProperty("loss").GetDouble(), loss.item<float>(), expected.GetProperty("loss_tolerance_abs").GetDouble());
        // A zero row has a gradient of about 1/eps, recorded but not to be asserted.
        if (expected.GetProperty("kind").GetString() == "zero_row") return;
        GoldenCases.Close(golden.Tensors[name + ".grad_anchor"], gradient, expected.GetProperty("grad_tolerance_abs").GetDouble(), name);
    }

    [Fact]
    public void Compute_AgreesWithLoopsInDouble()
    {
        using var scope = NewDisposeScope();
        var (anchor, positive, frozen, mask) = Inputs();

        var loss = ContrastiveLoss.Compute(anchor, positive, frozen, mask, 0.3).item<float>();

        var counted = (
            from b in Enumerable.Range(0, 2)
            from t in Enumerable.Range(0, 4)
            where mask[b, t].item<bool>()
            select (b, t)
        ).ToArray();
        var total = 0.0;
        for (var i = 0; i < counted.Length; i++)
        {
            var a = Row(anchor, counted[i]);
            var own = Math.Exp(Cosine(a, positive.data<float>().ToArray()) / 0.3);
            var sum = own + Math.Exp(Cosine(a, Row(frozen, counted[i])) / 0.3);
            total -= Math.Log(own / sum);
        }
        Assert.Equal(total / counted.Length, loss, 1e-5);
    }

    [Fact]
    public void Compute_PaddedRowsChangeNothing_AndReceiveNoGradient()
    {
        using var scope = NewDisposeScope();
        var (anchor, positive, frozen, mask) = Inputs();
        var spoiled = anchor.masked_fill(mask.logical_not().unsqueeze(-1), float.NaN).requires_grad_();

        var loss = ContrastiveLoss.Compute(spoiled, positive, frozen, mask);
        var gradient = autograd.grad([loss], [spoiled])[0];

        Assert.Equal(ContrastiveLoss.Compute(anchor, positive, frozen, mask).item<float>(), loss.item<float>());
        Assert.Equal(0, gradient[0, 0].abs().sum().item<float>());
        Assert.True(gradient.isfinite().all().item<bool>());
    }

    [Fact]
    public void Compute_GradientAgreesWithFiniteDifferences()
    {
        using var scope = NewDisposeScope();
        var (anchor, positive, frozen, mask) = Inputs();
        FiniteDifferences.Check(x => ContrastiveLoss.Compute(x, positive, frozen, mask), anchor);
        FiniteDifferences.Check(x => ContrastiveLoss.Compute(x, positive, frozen, null, 0.5), anchor);
    }

    [Fact]
    public void Compute_LengthsHaveNoEffect()
    {
        using var scope = NewDisposeScope();
        var (anchor, positive, frozen, _) = Inputs();
        CsCheck.Check.Sample(CsCheck.Gen.Double[0.01, 100], scale =>
        {
            var plain = ContrastiveLoss.Compute(anchor, positive, frozen).item<float>();
            Assert.Equal(plain, ContrastiveLoss.Compute(anchor * scale, positive * (1 / scale), frozen * scale).item<float>(), 1e-5f);
        }, iter: 30, threads: 1);
    }

    [Fact]
    public void Compute_InHalfPrecision_ReturnsFloat32()
    {
        using var scope = NewDisposeScope();
        var (anchor, positive, frozen, _) = Inputs();
        var loss = ContrastiveLoss.Compute(anchor.to(bfloat16), positive.to(bfloat16), frozen.to(bfloat16));
        Assert.Equal(float32, loss.dtype);
    }

    [Fact]
    public void Compute_WrongInput_IsRefused()
    {
        using var scope = NewDisposeScope();
        var (anchor, positive, frozen, mask) = Inputs();
        Assert.Throws<ArgumentException>(() => ContrastiveLoss.Compute(anchor, positive, frozen[..1]));
        Assert.Throws<ArgumentException>(() => ContrastiveLoss.Compute(anchor, positive, frozen, mask[..1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => ContrastiveLoss.Compute(anchor, positive, frozen, temperature: 0));
        Assert.Throws<NumericalFailureException>(() => ContrastiveLoss.Compute(anchor, positive, frozen, zeros_like(mask)));
    }

    [Fact]
    public void Compute_LeavesNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        var (anchor, positive, frozen, mask) = Inputs();
        TensorLeaks.Check(1, results => results.Add(ContrastiveLoss.Compute(anchor, positive, frozen)));
        TensorLeaks.Check(1, results => results.Add(ContrastiveLoss.Compute(anchor, positive, frozen, mask, 0.7)));
        TensorLeaks.Check(1, results => results.Add(ContrastiveLoss.Logits(anchor, positive, frozen, mask)));
    }

    private static (Tensor Anchor, Tensor Positive, Tensor Frozen, Tensor Mask) Inputs()
    {
        using var generator = new Generator(3);
        var mask = tensor(new[] { false, true, true, true, false, false, true, true }, 2, 4);
        return (randn([2, 4, 6], generator: generator), randn([6], generator: generator), randn([2, 4, 6], generator: generator), mask);
    }

    private static float[] Row(Tensor states, (int B, int T) at) => states[at.B, at.T].contiguous().data<float>().ToArray();

    private static double Cosine(float[] a, float[] b)
    {
        double dot = 0, aa = 0, bb = 0;
        for (var i = 0; i < a.Length; i++) { dot += (double)a[i] * b[i]; aa += (double)a[i] * a[i]; bb += (double)b[i] * b[i]; }
        return dot / Math.Sqrt(aa * bb);
    }
}
