using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Exchange.Adapters;

/// <summary>
/// What adapter_config.json of a LoRA adapter says, as PEFT writes it. A key that changes the numbers and is not among these is refused by
/// its name; keys about training only (dropout, initialisation that leaves the base alone) are passed over.
/// </summary>
internal sealed record PeftConfig
{
    private const string NotLora = "only LoRA adapters are merged";

    // Of these the merged weights do not depend.
    private static readonly string[] Training =
    [
        "auto_mapping",
        "base_model_name_or_path",
        "inference_mode",
        "lora_dropout",
        "megatron_core",
        "peft_version",
        "revision",
        "qalora_group_size",
        "runtime_config",
        "fan_in_fan_out",
    ];

    // Initialisations after which the base weights are what they were.
    private static readonly string[] HarmlessStarts = ["gaussian", "eva", "orthogonal"];

    /// <summary>The path of the file.</summary>
    public required string Path { get; init; }

    /// <summary>r: the rank where <see cref="Ranks"/> names no other.</summary>
    public required int Rank { get; init; }

    /// <summary>lora_alpha: the numerator of the scale where <see cref="Alphas"/> names no other.</summary>
    public required double Alpha { get; init; }

    /// <summary>rank_pattern, in the order of the file: the first that fits counts.</summary>
    public required IReadOnlyList<(string Pattern, double Value)> Ranks { get; init; }

    /// <summary>alpha_pattern, likewise.</summary>
    public required IReadOnlyList<(string Pattern, double Value)> Alphas { get; init; }

    /// <summary>use_rslora: the scale is alpha / sqrt(r) instead of alpha / r.</summary>
    public required bool RankStabilized { get; init; }

    /// <summary>use_dora: rows are scaled to learned lengths.</summary>
    public required bool Dora { get; init; }

    /// <summary>lora_bias: B has a bias.</summary>
    public required bool LoraBias { get; init; }

    /// <summary>bias: none, lora_only or all.</summary>
    public required string Bias { get; init; }

    /// <summary>target_modules.</summary>
    public required ModuleSelection Targets { get; init; }

    /// <summary>exclude_modules; null for none.</summary>
    public required ModuleSelection? Excluded { get; init; }

    /// <summary>layers_to_transform; empty for all layers.</summary>
    public required IReadOnlyList<int> Layers { get; init; }

    /// <summary>layers_pattern: what stands before the layer's number; empty for any name.</summary>
    public required IReadOnlyList<string> LayersPatterns { get; init; }

    /// <summary>modules_to_save: modules whose own weights the adapter holds.</summary>
    public required IReadOnlyList<string> Saved { get; init; }

    /// <summary>ensure_weight_tying: what changes the embedding changes a tied head too.</summary>
    public required bool EnsureTying { get; init; }

    /// <summary>Reads the file.</summary>
    /// <exception cref="UserInputException">It is missing or no JSON.</exception>
    /// <exception cref="UnsupportedCheckpointException">A key or value is not supported; the message names it.</exception>
    public static PeftConfig Read(string path)
    {
        if (!File.Exists(path))
            throw new UserInputException(
                $"{path}: not found. --adapter takes a folder as PEFT writes it (adapter_config.json, adapter_model.safetensors)."
            );
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new JsonException("an object is expected");
            return Read(new PeftKeys(path, document.RootElement));
        }
        catch (JsonException error)
        {
            throw new UserInputException($"{path}: not valid JSON ({error.Message.TrimEnd('.')}). Copy the adapter again.", error);
        }
    }

    private static PeftConfig Read(PeftKeys keys)
    {
        if (keys.Text("peft_type", "") is var kind && kind != "LORA")
            throw keys.Unsupported("peft_type", kind, NotLora);
        if (keys.TextOrNull("task_type") is { } task && task != "CAUSAL_LM")
            throw keys.Unsupported("task_type", task, "the adapter is not one of a language model with its output head (CAUSAL_LM)");
        RequireKnownStart(keys);
        var targets = keys.Selection("target_modules")
            ?? throw keys.Unsupported("target_modules", "null", "the file must name the adapted modules, as PEFT writes it");
        List<int> layers = [.. keys.Numbers("layers_to_transform")];
        var patterns = keys.Texts("layers_pattern");
        if (targets.Pattern is not null && (layers.Count > 0 || patterns.Count > 0))
            throw keys.Unsupported(
                layers.Count > 0 ? "layers_to_transform" : "layers_pattern",
                "given",
                "PEFT does not take it where target_modules is a regular expression"
            );
        if (patterns.Count > 0 && layers.Count == 0)
            throw keys.Unsupported("layers_pattern", "given", "PEFT takes it only with layers_to_transform");
        var config = new PeftConfig
        {
            Path = keys.Path,
            Rank = keys.Whole("r", 8),
            Alpha = keys.Number("lora_alpha", 8),
            Ranks = keys.Patterns("rank_pattern"),
            Alphas = keys.Patterns("alpha_pattern"),
            RankStabilized = keys.Flag("use_rslora"),
            Dora = keys.Flag("use_dora"),
            LoraBias = keys.Flag("lora_bias"),
            Bias = keys.Text("bias", "none"),
            Targets = targets,
            Excluded = keys.Selection("exclude_modules"),
            Layers = layers,
            LayersPatterns = patterns,
            Saved = keys.Texts("modules_to_save"),
            EnsureTying = keys.Flag("ensure_weight_tying"),
        };
        if (config.Rank < 1)
            throw keys.Unsupported("r", $"{config.Rank}", "it must be at least 1");
        if (config.Bias is not ("none" or "lora_only" or "all"))
            throw keys.Unsupported("bias", config.Bias, "known are none, lora_only and all");
        if (config is { Dora: true, LoraBias: true })
            throw keys.Unsupported("lora_bias", "true", "PEFT does not take it together with use_dora");
        keys.RefuseOthers(Training);
        return config;
    }

    // PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA take something out of the base weights when training begins, so the factors alone do not say
    // what the adapter adds to the published base.
    private static void RequireKnownStart(PeftKeys keys)
    {
        if (keys.TextOrNull("init_lora_weights") is not { } start || HarmlessStarts.Contains(start))
        {
            keys.PassOver("eva_config");
            return;
        }

        throw keys.Unsupported(
            "init_lora_weights",
            start,
            "it changes the base weights when training begins, and the adapter does not hold what it changed; save the adapter converted "
                + "to plain LoRA (save_pretrained with path_initial_model_for_weight_conversion)"
        );
    }
}
