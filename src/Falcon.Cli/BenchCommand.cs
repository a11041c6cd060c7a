using System.CommandLine;
using System.Globalization;
using Falcon.Benchmarks;
using Spectre.Console;

namespace Falcon.Cli;

/// <summary><c>falcon bench</c>: measurements, one verb below it for each.</summary>
internal static class BenchCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb("bench", "Measurements: random checkpoints of known shapes, the engine against the authors' loop, the league table of methods.", "bench make-model --shape llama-1b --out models/random-1b");
        command.Add(MakeModel(start));
        return command;
    }

    /// <summary>The required <c>--shape NAME</c> of the measurements.</summary>
    internal static Option<string> ShapeOption()
    {
        var shape = new Option<string>("--shape") { Description = "The demo model's shape, Llama-3.2-1B's or Mistral-7B's.", HelpName = string.Join('|', RandomCheckpoint.Shapes), Required = true };
        shape.AcceptOneOf([.. RandomCheckpoint.Shapes]);
        return shape;
    }

    private static Verb MakeModel(SessionStart start)
    {
        var command = new Verb("make-model", "Write a random checkpoint of a known shape (sharded bfloat16), for measurements of time and memory.", "bench make-model --shape llama-1b --out models/random-1b");
        var shape = ShapeOption();
        var layers = OptionParsing.Integer("--layers", "Another number of layers than the shape has, for a shorter model.", least: 1);
        var destination = UnlearnCommand.OutOption();
        foreach (var option in new Option[] { shape, layers, destination }) command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var record = RandomCheckpoint.Write(parsed.GetRequiredValue(shape), parsed.GetRequiredValue(destination), (ulong)(session.Seed ?? 0), parsed.GetValue(layers), session.Context);
            return session.Finish(record, Show);
        });
        return command;
    }

    private static void Show(IAnsiConsole console, RandomCheckpointRecord result) => console.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"{result.Directory}: {result.Layers} layers, {result.Parameters:N0} weights, {result.Bytes / 1e9:0.00} GB in {result.Shards} files, seed {result.Seed}"));
}
