namespace Falcon.Runs.Configuration;

/// <summary>Which settings make sense for which method.</summary>
internal static class MethodRules
{
    private static readonly string[] OfActivations = [MethodPresets.Falcon, "rmu", "adaptive-rmu", "circuit-breakers"];

    /// <summary>Whether the method looks at hidden states of one layer and so trains matrices up to it.</summary>
    public static bool UsesTargetLayer(string method) => OfActivations.Contains(method);

    /// <summary>What is wrong with a configuration for its method; empty when nothing is.</summary>
    public static IEnumerable<string> Faults(UnlearnConfig config)
    {
        var method = config.Method;
        if (!MethodPresets.Names.Contains(method))
        {
            yield return $"method is \"{method}\"; known are {string.Join(", ", MethodPresets.Names)}";
            yield break;
        }

        var preset = MethodPresets.Of(method);
        foreach (var fault in config.HyperParameters.Faults(method, preset.HyperParameters)) yield return fault;
        var whole = config.Layers.Parameters is [LayerConfig.WholeModel];
        if (whole && UsesTargetLayer(method))
            yield return $"layers.parameters: the method {method} looks at one layer and trains matrices up to it; name all or some "
                + $"matrices instead of {LayerConfig.WholeModel}";
        if (whole && (config.Layers.Target is not null || config.Layers.Choice != LayerChoice.LowestInformation))
            yield return $"layers.target and layers.choice have no effect when layers.parameters is {LayerConfig.WholeModel}";
        if (config.Layers is { Target: not null, Choice: not LayerChoice.LowestInformation })
            yield return "layers.choice has no effect when layers.target is given";
        if (method == "ssd" ? config.Steps != 0 : config.Steps < 1)
            yield return method == "ssd" ? "steps must be 0: the method ssd has none" : "steps must be at least 1";
        if (method == MethodPresets.Falcon)
            yield break;

        var loss = UsesTargetLayer(method) ? new LossConfig { ForgetTokens = config.Loss.ForgetTokens } : new LossConfig();
        if (ConfigFile.Write(config.Loss) != ConfigFile.Write(loss))
            yield return $"loss holds settings of FALCON that the method {method} does not use; its own are in hyperParameters";
        if (config.Engine.MicroBatchTokens != 0)
            yield return $"engine.microBatchTokens: the method {method} takes whole batches; leave it 0";
        if (config.OffsetVector != new OffsetVectorConfig())
            yield return $"offsetVector is of FALCON; the method {method} does not use it";
        if (config.Optimizer.Kind == OptimizerKind.Sophia)
            yield return $"optimizer.kind sophia estimates the curvature of FALCON's loss; use adamW or sophiaOfficial with the method "
                + $"{method}";
        if (config.Preset != MethodPresets.Published)
            yield return $"preset is \"{config.Preset}\", but the presets falcon, falcon-rebuild, falcon-anew, paper and official are of "
                + $"the method falcon; leave it out";
    }
}
