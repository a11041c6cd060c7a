using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Tests.Runtime;

public class EnvironmentRecordTests
{
    private sealed class StoppedClock : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2030, 1, 2, 3, 4, 5, TimeSpan.Zero);
    }

    [Fact]
    public void Capture_ThisProcess_NamesVersionsMachineAndStart()
    {
        var record = EnvironmentRecord.Capture("cpu", "float32", 7, new StoppedClock());

        Assert.StartsWith("10.", record.DotNet, StringComparison.Ordinal);
        Assert.StartsWith("0.107", record.TorchSharp, StringComparison.Ordinal);
        Assert.StartsWith("2.10", record.LibTorch, StringComparison.Ordinal);
        Assert.True(record.Cores > 0 && record.MemoryBytes > 0);
        var json = JsonSerializer.Serialize(record, ResultJson.LineOptions);
        Assert.Contains("\"seed\":7,\"started\":\"2030-01-02T03:04:05+00:00\"", json, StringComparison.Ordinal);
    }

    [Fact]
    public void ResultJson_NumberThatIsNotFinite_IsRefused() =>
        Assert.Throws<ArgumentException>(() => JsonSerializer.Serialize(double.NaN, ResultJson.Options));
}
