using Falcon.Cli;
using Falcon.Runtime;

namespace Falcon.Tests.Cli;

public class ExitCodesTests
{
    public static TheoryData<Exception, int, string?> Errors =>
        new()
        {
            { new UserInputException("a.jsonl, line 7:\n not JSON"), 2, "a.jsonl, line 7: not JSON" },
            { new UnsupportedCheckpointException("config.json: model_type x"), 2, "config.json: model_type x" },
            { new NumericalFailureException("step 3: loss is NaN"), 3, "step 3: loss is NaN" },
            { new OperationCanceledException(), 130, "interrupted" },
            {
                new UnauthorizedAccessException("Access to the path '/x' is denied."),
                2,
                "Access to the path '/x' is denied. Choose a path that you may access."
            },
            {
                new IOException("No space left on device : '/x'", 28),
                2,
                "No space left on device : '/x' Free space on that disk or choose another --out."
            },
            { new IOException("something else", 5), 1, null },
            { new InvalidOperationException("a fault of ours"), 1, null },
            { new AggregateException(new NumericalFailureException("inner")), 3, "inner" },
        };

    [Theory]
    [MemberData(nameof(Errors))]
    public void Describe_KindOfError_GivesCodeAndOneLine(Exception error, int code, string? line) =>
        Assert.Equal((code, line), ExitCodes.Describe(error));
}
