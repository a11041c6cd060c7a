using System.Globalization;
using System.Text;
using Falcon.Data;
using Falcon.Runs;

namespace Falcon.Research.Layers;

/// <summary>How layers are compared.</summary>
/// <param name="Model">Checkpoint directory.</param>
/// <param name="Data">Forget and retain files.</param>
/// <param name="Out">Folder of layers.json and layers.md; it may exist.</param>
public sealed record LayerBenchmarkSettings(string Model, DataSettings Data, string Out)
{
    /// <summary>Repetitions with other texts, batches and offset vectors.</summary>
    public int Seeds { get; init; } = 3;

    /// <summary>Steps of a trial.</summary>
    public int Steps { get; init; } = 10;

    /// <summary>
    /// Layers that a trial trains: the target and those right below it; with 1 every layer has the same number of parameters.
    /// </summary>
    public int Trained { get; init; } = 1;

    /// <summary>The rise of the retain answers' loss, in nats a token, at which forgetting is compared.</summary>
    public double Damage { get; init; } = 0.05;

    /// <summary>Forget and retain texts whose loss is measured.</summary>
    public int Texts { get; init; } = 48;
}

/// <summary>What was measured at a layer; the lists have one value a seed.</summary>
/// <param name="Layer">0-based.</param>
/// <param name="Information">I(l) of forget and retain activations in nats (<see cref="LayerAnalysis"/>).</param>
/// <param name="ForgetEffect">
/// Rise of the forget answers' loss in nats a token where the retain answers' loss has risen by the same amount at every layer.
/// </param>
/// <param name="Share">How far along the way of the trial's update that is; above 1 is beyond its end.</param>
public sealed record LayerTradeOff(
    int Layer,
    IReadOnlyList<double> Information,
    IReadOnlyList<double> ForgetEffect,
    IReadOnlyList<double> Share
);

/// <summary>A rank correlation over layers.</summary>
/// <param name="Value">Spearman's coefficient of the means over the seeds.</param>
/// <param name="Low">2.5 % quantile over draws of the seeds with replacement.</param>
/// <param name="High">97.5 % quantile.</param>
/// <param name="PValue">Two-sided, over random pairings of the layers.</param>
public sealed record LayerCorrelation(double Value, double Low, double High, double PValue);

/// <summary>Whether the mutual information of a layer foretells what unlearning at it costs.</summary>
/// <param name="Layers">Every layer.</param>
/// <param name="InformationAndEffect">
/// Mutual information against forget effect; the method chooses the LOWEST information, so it counts on a negative one.
/// </param>
/// <param name="InformationAndDepth">Mutual information against the number of the layer.</param>
/// <param name="EffectAndDepth">Forget effect against the number of the layer.</param>
/// <param name="Settings">How it was measured.</param>
public sealed record LayerBenchmarkResult(
    IReadOnlyList<LayerTradeOff> Layers,
    LayerCorrelation InformationAndEffect,
    LayerCorrelation InformationAndDepth,
    LayerCorrelation EffectAndDepth,
    LayerBenchmarkSettings Settings
)
{
    /// <summary>The table in Markdown.</summary>
    public string Markdown()
    {
        var text = new StringBuilder(
            "| layer | mutual information | forget effect at equal damage | over the seeds | share of the update "
                + "|\n|---:|---:|---:|---|---:|\n"
        );
        foreach (var layer in Layers)
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {layer.Layer} | {layer.Information.Average():F2} | {layer.ForgetEffect.Average():F3} | {layer.ForgetEffect.Min():F3} "
                    + $"to {layer.ForgetEffect.Max():F3} | {layer.Share.Average():F2} |\n"
            );
        text.Append("\n| rank correlation over layers | Spearman | 95 % over the seeds | p |\n|---|---:|---|---:|\n");
        foreach (
            var (name, value) in new[]
            {
                ("information and forget effect", InformationAndEffect),
                ("information and depth", InformationAndDepth),
                ("forget effect and depth", EffectAndDepth),
            }
        )
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {name} | {value.Value:F2} | {value.Low:F2} to {value.High:F2} | {value.PValue:G2} |\n"
            );
        return text.Append(
                CultureInfo.InvariantCulture,
                $"\nTrials of {Settings.Steps} steps of the falcon preset without bound and decay, at each layer alone "
                    + $"({Settings.Trained} trained), {Settings.Seeds} seeds; forget effect: rise of the loss of {Settings.Texts} forget "
                    + $"answers, in nats a token, at the point of the way along the update where that of {Settings.Texts} retain answers "
                    + $"has risen by {Settings.Damage}.\n\n    falcon bench layers --model {Settings.Model} --forget "
                    + $"{string.Join(',', Settings.Data.Forget)} --retain {string.Join(',', Settings.Data.Retain)} --seeds "
                    + $"{Settings.Seeds} --steps {Settings.Steps} --trained {Settings.Trained} --damage {Settings.Damage} --out "
                    + $"{Settings.Out}\n"
            )
            .ToString();
    }
}
