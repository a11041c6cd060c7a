using Falcon.Data;
using Falcon.Layers;
using Falcon.Methods.Terms;
using Falcon.Optimization;

namespace Falcon.Methods;

/// <summary>An unlearning method: what it is called, where it comes from, and the settings it starts from.</summary>
/// <param name="Name">Name on the command line and in run files.</param>
/// <param name="Summary">What it does, in a sentence, with its loss.</param>
/// <param name="Source">The paper, and where this differs from it.</param>
/// <param name="Presets">Its presets; the first is the default.</param>
public sealed record UnlearningMethod(string Name, string Summary, string Source, IReadOnlyList<MethodPreset> Presets)
{
    /// <summary>The preset name of a method that has only one.</summary>
    public const string Published = "published";

    /// <summary>The default preset.</summary>
    public MethodPreset Default => Presets[0];

    /// <summary>A method with one preset.</summary>
    /// <param name="name">Name on the command line and in run files.</param>
    /// <param name="summary">What it does.</param>
    /// <param name="source">The paper.</param>
    /// <param name="settings">Settings as published.</param>
    /// <param name="trials">Settings to try in a comparison.</param>
    public static UnlearningMethod Of(
        string name,
        string summary,
        string source,
        MethodSettings settings,
        IReadOnlyList<Trial> trials
    ) => new(name, summary, source, [new MethodPreset(Published, "The published settings.", settings, trials)]);
}

/// <summary>Named settings of a method.</summary>
/// <param name="Name">Name on the command line and in run files.</param>
/// <param name="Summary">What it is for, in a sentence.</param>
/// <param name="Settings">The settings.</param>
/// <param name="Trials">Settings that a comparison of methods tries, in this order.</param>
public sealed record MethodPreset(string Name, string Summary, MethodSettings Settings, IReadOnlyList<Trial> Trials);

/// <summary>What a preset decides of a run. Model and texts are the user's.</summary>
public sealed record MethodSettings
{
    /// <summary>Batches and counted tokens; its files are not used.</summary>
    public DataSettings Data { get; init; } = new();

    /// <summary>Target and trained matrices.</summary>
    public LayerSettings Layers { get; init; } = new();

    /// <summary>What is minimised.</summary>
    public ObjectiveSettings Objective { get; init; } = new();

    /// <summary>The update.</summary>
    public OptimizerSettings Optimizer { get; init; } = new();

    /// <summary>Number of steps.</summary>
    public int Steps { get; init; }
}

/// <summary>One setting of a method that a comparison tries.</summary>
/// <param name="Text">What is special about it, for the table.</param>
/// <param name="Settings">Changes of the preset in the form of <c>--set</c>: <c>optimizer.learningRate=3e-4</c>.</param>
public sealed record Trial(string Text, params IReadOnlyList<string> Settings);
