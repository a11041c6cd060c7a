using System.Globalization;

namespace Falcon.Research.Tables;

/// <summary>What the tables read from the result of <c>bench layers</c>.</summary>
/// <param name="Layers">The layers, lowest first.</param>
internal sealed record LayersFile(IReadOnlyList<LayersFile.Layer> Layers)
{
    /// <summary>One value a seed.</summary>
    internal sealed record Layer(IReadOnlyList<double> Information, IReadOnlyList<double> ForgetEffect);

    /// <summary>A column a layer.</summary>
    public ResultTable Table() =>
        new(
            ["layer", .. Layers.Select((_, i) => i.ToString(CultureInfo.InvariantCulture))],
            [
                ["mutual information", .. Layers.Select(layer => Mean(layer.Information, "0.0"))],
                ["forget effect, nats a token", .. Layers.Select(layer => Mean(layer.ForgetEffect, "0.000"))],
            ]
        );

    private static string Mean(IReadOnlyList<double> values, string format) =>
        values.Average().ToString(format, CultureInfo.InvariantCulture);
}
