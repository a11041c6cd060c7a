using Falcon.Attacks.Weights;
using Falcon.Checkpoints;
using Falcon.Tests.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Tests.Attacks.Weights;

public class BlockQuantizationTests
{
    // Nearest of the 16 levels of normal-float (Dettmers et al. 2023, appendix E), written out once more.
    private static readonly double[] NormalFloat =
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ];

    private static Tensor Weights()
    {
        using var generator = new Generator(3);
        var weights = randn([6, 40], float32, generator: generator); // 240 weights: the last block of 64 is not full
        weights[2] = zeros([40]);
        weights[4] = weights[4] * 1e-4;
        return weights;
    }

    [Theory]
    [InlineData(127)]
    [InlineData(7)]
    public void Apply_Rows_AgreesWithOneWeightAtATime(int largest)
    {
        using var scope = NewDisposeScope();
        var weights = Weights();
        var (codes, values) = BlockQuantization.Apply(weights, largest == 127 ? QuantizationScheme.Int8 : QuantizationScheme.Int4);
        for (var row = 0; row < 6; row++)
        {
            var scale = Enumerable.Range(0, 40).Max(column => Math.Abs(weights[row, column].item<float>())) / largest;
            for (var column = 0; column < 40; column++)
            {
                var code = scale == 0 ? 0 : MathF.Round(weights[row, column].item<float>() / scale);
                Assert.Equal(code, codes[row, column].item<float>());
                Assert.Equal(code * scale, values[row, column].item<float>(), 1e-6f);
            }
        }
    }

    [Fact]
    public void Apply_NormalFloat_AgreesWithTheNearestLevel()
    {
        using var scope = NewDisposeScope();
        var flat = Weights().data<float>().ToArray();
        var values = BlockQuantization.Apply(Weights(), QuantizationScheme.NormalFloat4).Values.data<float>().ToArray();
        for (var i = 0; i < flat.Length; i++)
        {
            var block = flat.Skip(i / 64 * 64).Take(64).Max(Math.Abs);
            var nearest = NormalFloat.MinBy(level => Math.Abs(level * block - flat[i]));
            Assert.Equal(nearest * block, values[i], 1e-5);
        }
    }

    [Fact]
    public void Quantized_MatricesStoredByInputs_ShareAScaleByOutput()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var (weights, model) = Checkpoint.LoadModel(FamilyCase.Of("GPT-2").Write(folder.At("model")), float32, CPU);
        using var owned = weights;
        const string Name = "transformer.h.1.mlp.c_fc.weight"; // [32 inputs, 128 outputs]
        var (stored, rounded) = (model.Weight(Name), Quantization.Quantized(model, QuantizationScheme.Int4).Weight(Name));
        for (var output = 0; output < 128; output++)
        {
            var scale = stored[TensorIndex.Colon, output].abs().max().item<float>() / 7;
            for (var input = 0; input < 32; input++)
                Assert.Equal(MathF.Round(stored[input, output].item<float>() / scale) * scale, rounded[input, output].item<float>(), 1e-6f);
        }
    }

    [Fact]
    public void BucketFlips_CountsEditedWeightsAndThoseWithAnotherCode()
    {
        using var scope = NewDisposeScope();
        var original = tensor(new[] { 7f, 1f, 2f, 3f, -4f, 5f }, [1, 6]); // scale 1: codes are the weights
        var edited = tensor(new[] { 7f, 1.2f, 2.4f, 3.6f, -4f, 6f }, [1, 6]);
        Assert.Equal((4, 2), BlockQuantization.BucketFlips(original, edited, QuantizationScheme.Int4));
    }
}
