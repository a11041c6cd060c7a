using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Methods;
using Falcon.Methods.Terms;
using Falcon.Optimization;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>
/// Everything that decides an unlearning run; written beside it and read back. Losses and engine do not see this record; they take plain
/// values.
/// </summary>
public sealed record UnlearnConfig
{
    /// <summary>The unlearning method, one of <see cref="MethodCatalog.Names"/>.</summary>
    public string Method { get; init; } = MethodCatalog.Default.Name;

    /// <summary>The preset of the method that the values started from.</summary>
    public string Preset { get; init; } = MethodCatalog.Default.Default.Name;

    /// <summary>The model: a checkpoint directory or a GGUF file.</summary>
    public string Model { get; init; } = "";

    /// <summary>A folder with a LoRA adapter that is merged into the model first; null for none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Adapter { get; init; }

    /// <summary>Texts and batches.</summary>
    public DataSettings Data { get; init; } = new();

    /// <summary>Target layer and trained matrices.</summary>
    public LayerSettings Layers { get; init; } = new();

    /// <summary>What is minimised: lists of terms.</summary>
    public ObjectiveSettings Objective { get; init; } = new();

    /// <summary>The update.</summary>
    public OptimizerSettings Optimizer { get; init; } = new();

    /// <summary>Use of memory and processor.</summary>
    public EngineSettings Engine { get; init; } = new();

    /// <summary>What is measured before and after.</summary>
    public EvaluationConfig Evaluation { get; init; } = new();

    /// <summary>What is measured while training, when the run stops and what it keeps.</summary>
    public MonitorConfig Monitor { get; init; } = new();

    /// <summary>Number of steps; step t works on topic t mod T.</summary>
    [Range(0, int.MaxValue)]
    public int Steps { get; init; } = 80;

    /// <summary>Seed of everything random.</summary>
    public ulong Seed { get; init; }

    /// <summary>Steps between saved states for <c>--resume</c>; 0 saves only when interrupted.</summary>
    [Range(0, int.MaxValue)]
    public int CheckpointEvery { get; init; } = 100;

    /// <summary>Whether every tensor of the model is trained, so that there is no target layer.</summary>
    [JsonIgnore]
    public bool TrainsWholeModel => Layers.Parameters is [LayerSettings.WholeModel];

    /// <summary>The settings of a method's preset; model and texts are still to be given.</summary>
    /// <param name="method">The method's name.</param>
    /// <param name="preset">The preset's name; null for the method's default.</param>
    /// <exception cref="UserInputException">There is no such method or preset.</exception>
    public static UnlearnConfig Of(string method, string? preset = null)
    {
        var start = MethodCatalog.Preset(method, preset);
        return new UnlearnConfig
        {
            Method = method,
            Preset = start.Name,
            Data = start.Settings.Data,
            Layers = start.Settings.Layers,
            Objective = start.Settings.Objective,
            Optimizer = start.Settings.Optimizer,
            Steps = start.Settings.Steps,
        };
    }

    /// <summary>
    /// The settings of a run file, laid over the preset that it names (the default method's where it names none). The terms in a file
    /// belong to its method and preset. With another method or preset they would no longer match its name, so they are left out.
    /// </summary>
    /// <param name="path">The run file; null for none.</param>
    /// <param name="sets">Overrides such as <c>steps=100</c>, applied in order.</param>
    /// <param name="method">A method in place of the file's.</param>
    /// <param name="preset">A preset in place of the file's.</param>
    /// <param name="warn">Called with a warning when terms are left out.</param>
    /// <exception cref="UserInputException">File or override cannot be used, or there is no such method or preset.</exception>
    public static UnlearnConfig Read(
        string? path,
        IReadOnlyList<string> sets,
        string? method = null,
        string? preset = null,
        Action<string>? warn = null
    )
    {
        const string Terms = "objective";
        var written = ConfigFile.Read(path, sets, new UnlearnConfig { Method = "", Preset = "" });
        var named = written.Method.Length > 0 ? written.Method : MethodCatalog.Default.Name;
        // A preset that the file names is of the file's method.
        var namedPreset = written.Preset.Length > 0 && (method ?? named) == named ? written.Preset : null;
        var start = Of(method ?? named, preset ?? namedPreset);
        var isOther = start.Method != named || (preset is not null && namedPreset is not null && preset != namedPreset);
        var leavesOut = isOther && path is not null && ConfigFile.Holds(path, Terms);
        if (leavesOut)
            warn?.Invoke(
                $"{path}: its {Terms} is that of another method or preset and is not used with method {start.Method}, "
                    + $"preset {start.Preset}; --set {Terms}.LIST.KIND.NAME=VALUE changes the terms of that preset"
            );
        return ConfigFile.Read(path, sets, start, leavesOut ? Terms : null) with { Method = start.Method, Preset = start.Preset };
    }

    /// <summary>A preset of FALCON; see <see cref="Of"/>.</summary>
    /// <exception cref="UserInputException">There is no such preset.</exception>
    public static UnlearnConfig FromPreset(string name) => Of(MethodCatalog.Default.Name, name);

    /// <summary>Checks every rule at once.</summary>
    /// <exception cref="UserInputException">One line that lists all violations.</exception>
    public void Validate()
    {
        List<string> faults = [.. UnlearnRules.Faults(this)];
        if (faults.Count > 0) throw new UserInputException($"Wrong settings: {string.Join("; ", faults)}.");
    }
}
