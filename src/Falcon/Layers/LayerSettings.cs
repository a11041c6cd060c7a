using System.ComponentModel.DataAnnotations;
using Falcon.Engine;

namespace Falcon.Layers;

/// <summary>Which layer is chosen when none is given.</summary>
public enum LayerChoice
{
    /// <summary>The one with the lowest mutual information of forget and retain hidden states (paper, section 4.1).</summary>
    LowestInformation,

    /// <summary>The one with the highest; an ablation.</summary>
    HighestInformation,
}

/// <summary>Where a run intervenes: the target layer and the matrices it trains.</summary>
public sealed record LayerSettings
{
    /// <summary>The value of <see cref="Parameters"/> that stands for every tensor of the model.</summary>
    public const string WholeModel = TrainedParameters.WholeModel;

    /// <summary>The layer whose output enters the losses (0-based); null chooses by mutual information.</summary>
    [Range(0, int.MaxValue)]
    public int? Target { get; init; }

    /// <summary>Which layer is chosen when <see cref="Target"/> is null.</summary>
    public LayerChoice Choice { get; init; }

    /// <summary>Number of layers that are trained: the target and the ones right below it.</summary>
    [Range(1, int.MaxValue)]
    public int Trained { get; init; } = 3;

    /// <summary>
    /// The matrices that are trained, by name within a layer (in every family <c>mlp.down_proj</c> is the one that writes the MLP's output
    /// into the residual stream); <c>all</c> for all of each layer, <c>model</c> for every tensor of the whole model.
    /// </summary>
    [MinLength(1)]
    public IReadOnlyList<string> Parameters { get; init; } = ["mlp.down_proj"];

    /// <summary>Lowest layer that the automatic choice looks at, as a share of the depth.</summary>
    [Range(0.0, 1.0)]
    public double SearchFrom { get; init; }

    /// <summary>Highest layer that the automatic choice looks at, as a share of the depth.</summary>
    [Range(0.0, 1.0)]
    public double SearchTo { get; init; } = 1;

    /// <summary>Texts of each kind behind the mutual information.</summary>
    [Range(8, int.MaxValue)]
    public int Samples { get; init; } = 200;

    /// <summary>Weight of the mutual information between forget domains.</summary>
    public double Eta { get; init; } = 0.5;

    /// <summary>Bootstrap rounds behind the interval of the mutual information; 0 for none.</summary>
    [Range(0, int.MaxValue)]
    public int BootstrapRounds { get; init; } = 40;

    /// <summary>
    /// Share of the trained matrices that noise replaces before the first step: W becomes (1 - s) W + s rms(W) N(0, 1), and the retain loss
    /// rebuilds what must stay, so that less of the forget set is left in the weights (after Lee et al., arXiv 2506.06278, who corrupt the
    /// whole model and distil). 0 for none.
    /// </summary>
    [Range(0.0, 1.0)]
    public double StartNoise { get; init; }

    /// <summary>
    /// Layers above the target that are trained too, by the retain loss alone. With <see cref="StartNoise"/> they are rebuilt from the
    /// retain set, so that what they held of the forget set is removed and not only out of reach. 0 for none, as published.
    /// </summary>
    [Range(0, int.MaxValue)]
    public int RebuiltAbove { get; init; }

    /// <summary>
    /// Whether the embedding of tokens, and the head where it has a matrix of its own, are trained too, by the retain loss alone. With
    /// <see cref="StartNoise"/> they are rebuilt as the layers are, since rows of tokens that mostly occur in forget texts hold a part of
    /// the forget set. Tokens that occur in no retain text are lost with it. False, as published.
    /// </summary>
    public bool RebuiltEmbedding { get; init; }
}
