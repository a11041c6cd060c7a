using Falcon.Cli;

namespace Falcon.Tests.Cli;

public sealed class ConsoleRunLogTests : IDisposable
{
    private readonly SharedWriter _text = new();
    private readonly ManualClock _clock = new();

    public void Dispose() => _text.Dispose();

    private string[] Lines() => _text.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);

    [Fact]
    public void Progress_Redirected_FirstAndLastAndOneInTwoSeconds()
    {
        using var log = new ConsoleRunLog(TestConsole.Redirected(_text), _clock);
        for (var step = 0; step <= 50; step++)
        {
            log.Progress("unlearn", step, 50, $"loss {step}");
            _clock.Advance(0.1);   // 50 steps take 5 s: lines at 0, 2, 4 s and at the end
        }

        Assert.Equal(
            [
                "unlearn 0/50  loss 0",
                "unlearn 20/50  loss 20  3.0 s left",
                "unlearn 40/50  loss 40  1.0 s left",
                "unlearn 50/50  loss 50  done in 5.0 s",
            ],
            Lines()
        );
    }

    [Fact]
    public void Progress_TwoStages_AreThrottledApart()
    {
        using var log = new ConsoleRunLog(TestConsole.Redirected(_text), _clock);
        log.Progress("a", 0, 2);
        log.Progress("b", 0, 2);
        log.Progress("a", 1, 2);
        log.Progress("b", 2, 2);
        log.Progress("b", 0, 2);   // b again: a new stage

        Assert.Equal(["a 0/2", "b 0/2", "b 2/2  done in 0.0 s", "b 0/2"], Lines());
    }

    [Fact]
    public void Messages_Redirected_AreOneLineEachWithoutMarkup()
    {
        using var log = new ConsoleRunLog(TestConsole.Redirected(_text), _clock);
        var longMessage = "layer [2] chosen " + new string('x', 200);
        log.Information(longMessage);
        log.Warning("few samples");

        Assert.Equal([longMessage, "warning: few samples"], Lines());
    }

    [Fact]
    public void Progress_Terminal_DrawsABarAndLeavesTheFinishedStageAsALine()
    {
        using (var log = new ConsoleRunLog(TestConsole.Terminal(_text), _clock))
        {
            log.Progress("unlearn [both]", 0, 10, "loss 2.0");
            log.Information("a message in between");
            for (var i = 0; i < 100 && !_text.ToString().Contains('━', StringComparison.Ordinal); i++)
                Thread.Sleep(50); // the display refreshes itself
            log.Progress("unlearn [both]", 10, 10, "loss 1.0");
            log.Progress("evaluate", 1, 3);   // left unfinished: dispose must end it
        }

        var screen = _text.ToString();
        Assert.Contains("━", screen, StringComparison.Ordinal);
        Assert.Contains("a message in between", screen, StringComparison.Ordinal);
        Assert.Contains("unlearn [both] 10/10  loss 1.0  done in 0.0 s", screen, StringComparison.Ordinal);
        Assert.EndsWith("\u001b[?25h", screen.TrimEnd(), StringComparison.Ordinal);   // the cursor is shown again
    }

    [Theory]
    [InlineData(0.42, "0.4 s")]
    [InlineData(12.3, "12 s")]
    [InlineData(59.7, "1 min 00 s")]
    [InlineData(185, "3 min 05 s")]
    [InlineData(3725, "1 h 02 min")]
    public void Duration_ReadsAsPeopleSayIt(double seconds, string expected) =>
        Assert.Equal(expected, ConsoleRunLog.Duration(TimeSpan.FromSeconds(seconds)));

    // The live display writes from a thread of its own.
    private sealed class SharedWriter : StringWriter
    {
        private readonly Lock _gate = new();

        public override void Write(char value)
        {
            lock (_gate) base.Write(value);
        }

        public override void Write(char[] buffer, int index, int count)
        {
            lock (_gate) base.Write(buffer, index, count);
        }

        public override void Write(string? value)
        {
            lock (_gate) base.Write(value);
        }

        public override string ToString()
        {
            lock (_gate) return base.ToString();
        }
    }
}
