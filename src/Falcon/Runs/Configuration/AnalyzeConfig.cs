using System.Text.Json.Serialization;
using Falcon.Data;
using Falcon.Layers;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>Everything that decides the choice of a layer; written with it.</summary>
public sealed record AnalyzeConfig
{
    /// <summary>The model: a checkpoint directory or a GGUF file.</summary>
    public string Model { get; init; } = "";

    /// <summary>A folder with a LoRA adapter that is merged into the model first; null for none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Adapter { get; init; }

    /// <summary>Texts.</summary>
    public DataSettings Data { get; init; } = new();

    /// <summary>Lowest layer to look at (0-based); null for the lowest there is.</summary>
    public int? FirstLayer { get; init; }

    /// <summary>Highest layer to look at (0-based); null for the highest there is.</summary>
    public int? LastLayer { get; init; }

    /// <summary>Texts of each kind behind the mutual information.</summary>
    public int Samples { get; init; } = new LayerSettings().Samples;

    /// <summary>Weight of the mutual information between forget domains.</summary>
    public double Eta { get; init; } = new LayerSettings().Eta;

    /// <summary>Bootstrap rounds behind the interval of the mutual information; 0 for none.</summary>
    public int BootstrapRounds { get; init; } = new LayerSettings().BootstrapRounds;

    /// <summary>Seed of the choice of texts and of the resamples.</summary>
    public ulong Seed { get; init; }

    /// <summary>Checks every rule at once.</summary>
    /// <exception cref="UserInputException">One line that lists all violations.</exception>
    public void Validate()
    {
        List<string> faults = [];
        if (Model.Length == 0) faults.Add("model: give the checkpoint directory (--model DIR)");
        if (Data.Forget.Count == 0) faults.Add("data.forget: give at least one forget file (--forget FILE[,FILE])");
        if (Data.RetainFault() is { } fault) faults.Add(fault);
        if (Samples < 8) faults.Add("samples (--samples) must be at least 8");
        if (BootstrapRounds < 0) faults.Add("bootstrapRounds must not be negative");
        if (FirstLayer < 0 || LastLayer < FirstLayer) faults.Add("firstLayer and lastLayer (--layers A-B) must satisfy 0 <= A <= B");
        if (faults.Count > 0) throw new UserInputException($"Wrong settings: {string.Join("; ", faults)}.");
    }
}
