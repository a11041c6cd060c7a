using TorchSharp;

namespace Falcon.Tests;

/// <summary>Counts live tensor handles of this thread around a call.</summary>
internal static class TensorLeaks
{
    /// <summary>
    /// Fails unless exactly <paramref name="results"/> handles more are alive after the call than before; a second call may not differ.
    /// </summary>
    public static void Check(int results, Action<List<torch.Tensor>> call)
    {
        for (var round = 0; round < 2; round++)
        {
            var returned = new List<torch.Tensor>();
            var before = Live();
            call(returned);
            var after = Live();
            Assert.Equal(results, returned.Count);
            Assert.Equal(before + results, after);
            foreach (var tensor in returned) tensor.Dispose();
        }
    }

    private static long Live() => DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
}
