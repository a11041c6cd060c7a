// Removes what one file of questions knows from a model and keeps what another one knows:
// dotnet run --project samples/Unlearn -- MODEL FORGET RETAIN OUT [STEPS]
using System.Globalization;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

var preset = UnlearnConfig.FromPreset("falcon");
var config = preset with
{
    Model = args[0],
    Data = preset.Data with { Forget = [args[1]], Retain = [args[2]] },
    Layers = preset.Layers with { Target = 1 },
    Steps = args.Length > 4 ? int.Parse(args[4], CultureInfo.InvariantCulture) : preset.Steps,
};
var context = RunContext.Quiet with { Log = new ConsoleLog() };

var run = UnlearnRun.Execute(config, args[3], resume: false, context);

foreach (var row in run.Scores)
    Console.WriteLine($"{row.Group}: {row.Name}: {row.Before.Value:0.000} -> {row.After.Value:0.000}");
Console.WriteLine($"the new model is in {Path.Combine(args[3], "model")}");

internal sealed class ConsoleLog : IRunLog
{
    public void Information(string message) => Console.Error.WriteLine(message);

    public void Warning(string message) => Console.Error.WriteLine($"warning: {message}");

    public void Progress(string stage, int done, int total, string? status = null) { }
}
