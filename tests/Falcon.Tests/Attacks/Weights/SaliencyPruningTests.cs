using Falcon.Attacks.Weights;
using static TorchSharp.torch;

namespace Falcon.Tests.Attacks.Weights;

public class SaliencyPruningTests
{
    [Theory]
    [InlineData(0.1, 0.1)]
    [InlineData(0.25, 0.5)]
    [InlineData(0.5, 0)]
    [InlineData(0, 0.5)]
    [InlineData(1, 0.3)]
    public void SetDifference_AgreesWithSets(double q, double p)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(8);
        var (first, second) = (rand([5, 8], float32, generator: generator), rand([5, 8], float32, generator: generator));

        var chosen = SaliencyPruning.SetDifference(first, second, q, p).data<bool>().ToArray();

        HashSet<int> Top(Tensor scores, double share) =>
            [
                .. scores
                    .data<float>()
                    .ToArray()
                    .Index()
                    .OrderByDescending(one => one.Item)
                    .Take((int)Math.Round(share * 40))
                    .Select(one => one.Index),
            ];
        var expected = Top(first, q).Except(Top(second, p)).ToHashSet();
        Assert.Equal(Enumerable.Range(0, 40).Select(expected.Contains), chosen);
    }
}
