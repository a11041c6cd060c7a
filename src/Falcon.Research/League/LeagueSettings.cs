namespace Falcon.Research.League;

/// <summary>What the league table compares, and on what.</summary>
/// <param name="Suite"><c>tofu</c> or <c>demo</c>.</param>
/// <param name="Methods">Names out of <see cref="LeagueBenchmark.Entrants"/>.</param>
/// <param name="Out">Directory of the cells and of the table; what is there is used again.</param>
public sealed record LeagueSettings(string Suite, IReadOnlyList<string> Methods, string Out)
{
    /// <summary>Settings that are tried for each method on the development split.</summary>
    public int Trials { get; init; } = 4;

    /// <summary>Runs of the chosen settings that are scored on the test split, with the seeds 0 to n - 1.</summary>
    public int Seeds { get; init; } = 3;

    /// <summary>The same for FALCON and the best three others; no fewer than <see cref="Seeds"/> have effect.</summary>
    public int SeedsOfBest { get; init; } = 5;

    /// <summary>Steps of every run, the same for all methods.</summary>
    public int Steps { get; init; } = 60;

    /// <summary>Evenly spaced numbers of steps at which a trial is scored, the last being its end.</summary>
    public int Snapshots { get; init; } = 2;

    /// <summary>Share of the start's utility that a run must keep to be chosen.</summary>
    public double UtilityFloor { get; init; } = 0.97;

    /// <summary>tofu: the model to unlearn. demo: the demo's run file, whose model, data and probes are used.</summary>
    public string Model { get; init; } = "";

    /// <summary>tofu: the model directory of a model that never saw the forget set.</summary>
    public string Reference { get; init; } = "";

    /// <summary>tofu: another retrained model, whose forget quality against the first is the ceiling; empty for none.</summary>
    public string SecondReference { get; init; } = "";

    /// <summary>tofu: the data directory.</summary>
    public string Data { get; init; } = "";

    /// <summary>tofu: the forget set.</summary>
    public string ForgetSplit { get; init; } = "forget10";

    /// <summary>tofu: questions of a set that are answered for ROUGE-L.</summary>
    public int RougeSamples { get; init; } = 30;

    /// <summary>The command that makes the same table.</summary>
    public string Command() =>
        $"falcon bench methods --suite {Suite} --methods {string.Join(',', Methods)} --trials {Trials} --seeds {Seeds} --seeds-of-best "
            + $"{SeedsOfBest} --steps {Steps} --snapshots {Snapshots}"
        + (
            Suite == "tofu"
                ? $" --model {Model} --reference "
                    + $"{Reference}{(SecondReference.Length > 0 ? $" --second-reference {SecondReference}" : "")} --data {Data} "
                    + $"--forget-split {ForgetSplit} --rouge-samples {RougeSamples}"
                : ""
        )
        + $" --out {Out}";
}
