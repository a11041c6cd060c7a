namespace Falcon.Runs.Configuration;

/// <summary>
/// The hyper-parameters of the methods other than FALCON, under the names of the literature. A method has exactly those that its preset
/// sets; the others are null.
/// </summary>
public sealed record MethodConfig
{
    /// <summary>Weight of the forget loss (scrub: of the cross-entropy on the retain set).</summary>
    public double? Gamma { get; init; }

    /// <summary>
    /// Weight of the retain loss (circuit-breakers: of both; ssd: how many times the retain importance a weight's forget importance must
    /// exceed; task-vector: how far to go).
    /// </summary>
    public double? Alpha { get; init; }

    /// <summary>
    /// Sharpness of the preference (npo, simnpo, idk-dpo) or of the token weights (wga); how far logits are lowered (undial).
    /// </summary>
    public double? Beta { get; init; }

    /// <summary>Margin in nats a token (simnpo).</summary>
    public double? Delta { get; init; }

    /// <summary>
    /// Length of the vector that forget activations are pulled to (rmu), or that length as a multiple of each activation's own
    /// (adaptive-rmu).
    /// </summary>
    public double? SteeringCoefficient { get; init; }

    /// <summary>Weight of the random answers (llmu); strength of the dampening (ssd).</summary>
    public double? Lambda { get; init; }

    /// <summary>Random answers to each forget prompt (llmu).</summary>
    public int? RandomAnswers { get; init; }

    /// <summary>Temperature of the divergence from the teacher (scrub).</summary>
    public double? Temperature { get; init; }

    /// <summary>Share of the steps, from the first, that leave the teacher on the forget set (scrub).</summary>
    public double? ForgetShare { get; init; }

    /// <summary>What is wrong with these settings for a method whose preset has <paramref name="preset"/>; empty when nothing is.</summary>
    internal IEnumerable<string> Faults(string method, MethodConfig preset)
    {
        var known = preset.ByName().Where(item => item.Value is not null).Select(item => item.Name).ToList();
        foreach (var (name, value) in ByName())
        {
            if (value is null && known.Contains(name))
                yield return $"hyperParameters.{name} is missing; the method {method} needs it";
            if (value is not null && !known.Contains(name))
                yield return $"hyperParameters.{name} is no setting of the method {method} "
                    + $"({(known.Count > 0 ? $"it has {string.Join(", ", known)}" : "it has none")})";
            if (value is < 0 || value is { } number && !double.IsFinite(number))
                yield return $"hyperParameters.{name} must not be negative";
        }

        if (Beta is 0 && method is ("npo" or "simnpo" or "idk-dpo")) yield return "hyperParameters.beta must be above 0";
        if (Temperature is 0) yield return "hyperParameters.temperature must be above 0";
        if (ForgetShare is > 1) yield return "hyperParameters.forgetShare must be from 0 to 1";
        if (RandomAnswers is 0) yield return "hyperParameters.randomAnswers must be at least 1";
    }

    private (string Name, double? Value)[] ByName() =>
    [
        ("gamma", Gamma), ("alpha", Alpha), ("beta", Beta), ("delta", Delta), ("steeringCoefficient", SteeringCoefficient),
        ("lambda", Lambda), ("randomAnswers", RandomAnswers), ("temperature", Temperature), ("forgetShare", ForgetShare),
    ];
}
