using Falcon.Methods.Falcon;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Falcon;

public class RetentionLossTests
{
    public static TheoryData<string> GoldenNames => GoldenCases.Names("retention");

    [Theory, MemberData(nameof(GoldenNames)), Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Compute_GoldenCase_AgreesWithThePublishedCode(string name)
    {
        var golden = GoldenCases.OrSkip("retention");
        var expected = golden.Case(name);
        var weight = expected.GetProperty("weight").GetDouble();
        foreach (var official in new[] { false, true })
        {
            using var scope = NewDisposeScope();
            var updated = golden.Tensors[name + ".updated"].requires_grad_();

            var loss = RetentionLoss.Compute(updated, golden.Tensors[name + ".frozen"], weight: weight, official: official);
            var gradient = autograd.grad([loss], [updated])[0];

            switch (expected.GetProperty("kind").GetString())
            {
                case "identical": // Rounding noise: only its size is stated.
                    Assert.InRange(Math.Abs(loss.item<float>()), 0, weight * 1e-6);
                    Assert.InRange(gradient.abs().max().item<float>(), 0, weight * 1e-6);
                    break;
                case "zero_row" or "tiny_norm": // Gradients of about 1/eps: relative comparison.
                    Assert.Equal(
                        expected.GetProperty("loss").GetDouble(),
                        loss.item<float>(),
                        expected.GetProperty("loss_tolerance_abs").GetDouble()
                    );
                    GoldenCases.CloseRelative(golden.Tensors[name + ".grad_updated"], gradient, 1e-4, name);
                    break;
                default:
                    Assert.Equal(
                        expected.GetProperty("loss").GetDouble(),
                        loss.item<float>(),
                        expected.GetProperty("loss_tolerance_abs").GetDouble()
                    );
                    GoldenCases.Close(
                        golden.Tensors[name + ".grad_updated"],
                        gradient,
                        expected.GetProperty("grad_tolerance_abs").GetDouble(),
                        name
                    );
                    break;
            }
        }
    }

    [Fact]
    public void Compute_NearlyEqualStates_KeepsItsResolution()
    {
        // cos of an angle of 1e-4: 1 - cos = 5e-9, far below the 6e-8 at which float32 numbers near 1 are spaced.
        using var scope = NewDisposeScope();
        var frozen = tensor(new[] { 1f, 0f, 0f, 0f }, 1, 1, 4);
        var updated = tensor(new[] { 1f, 1e-4f, 0f, 0f }, 1, 1, 4);

        Assert.Equal(5e-9, RetentionLoss.Compute(updated, frozen).item<float>(), 1e-13);
        Assert.Equal(0, RetentionLoss.Compute(updated, frozen, official: true).item<float>());
    }

    [Fact]
    public void Compute_EqualStates_GivesExactlyZeroAndNoGradient()
    {
        using var scope = NewDisposeScope();
        var (updated, _, _) = Inputs();
        updated.requires_grad_();
        var loss = RetentionLoss.Compute(updated, updated.detach(), weight: 100);
        Assert.Equal(0, loss.item<float>());
        Assert.Equal(0, autograd.grad([loss], [updated])[0].abs().max().item<float>());
    }

    [Fact]
    public void Compute_MasksPaddedRows()
    {
        using var scope = NewDisposeScope();
        var (updated, frozen, mask) = Inputs();
        var rows = mask.reshape(-1).nonzero().reshape(-1);
        var expected =
            3
            * (
                1
                - nn.functional.cosine_similarity(
                        updated.reshape(-1, 6).index_select(0, rows),
                        frozen.reshape(-1, 6).index_select(0, rows),
                        dim: 1
                    )
                    .mean()
            );
        Assert.Equal(expected.item<float>(), RetentionLoss.Compute(updated, frozen, mask, weight: 3).item<float>(), 1e-5f);
        Assert.Throws<NumericalFailureException>(() => RetentionLoss.Compute(updated, frozen, zeros_like(mask)));
        Assert.Throws<ArgumentException>(() => RetentionLoss.Compute(updated, frozen[..1]));
    }

    [Fact]
    public void Compute_GradientAgreesWithFiniteDifferences()
    {
        using var scope = NewDisposeScope();
        var (updated, frozen, mask) = Inputs();
        FiniteDifferences.Check(x => RetentionLoss.Compute(x, frozen, mask, weight: 2), updated);
        FiniteDifferences.Check(x => RetentionLoss.Compute(x, frozen, mask, weight: 2, official: true), updated);
    }

    [Fact]
    public void Compute_LengthsHaveNoEffect()
    {
        using var scope = NewDisposeScope();
        var (updated, frozen, mask) = Inputs();
        var plain = RetentionLoss.Compute(updated, frozen, mask).item<float>();
        CsCheck.Check.Sample(
            CsCheck.Gen.Double[0.01, 100],
            scale => Assert.Equal(plain, RetentionLoss.Compute(updated * scale, frozen * (1 / scale), mask).item<float>(), 1e-6f),
            iter: 30,
            threads: 1
        );
    }

    [Fact]
    public void Compute_LeavesNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        var (updated, frozen, mask) = Inputs();
        TensorLeaks.Check(1, results => results.Add(RetentionLoss.Compute(updated, frozen, mask)));
        TensorLeaks.Check(1, results => results.Add(RetentionLoss.Compute(updated, frozen, official: true)));
    }

    private static (Tensor Updated, Tensor Frozen, Tensor Mask) Inputs()
    {
        using var generator = new Generator(4);
        return (
            randn([2, 4, 6], generator: generator),
            randn([2, 4, 6], generator: generator),
            tensor(new[] { false, true, true, true, false, false, true, true }, 2, 4)
        );
    }
}
