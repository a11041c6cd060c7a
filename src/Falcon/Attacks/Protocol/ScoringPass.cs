using Falcon.Data;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Attacks.Protocol;

/// <summary>What an attack changes about a model or its input while questions are scored; by default nothing.</summary>
public sealed record ScoringPass
{
    /// <summary>A model with changed weights in place of the attacked one; borrowed. Null for the attacked model.</summary>
    public CausalLM? Model { get; init; }

    /// <summary>How the model answers; null for <see cref="AttackData.Form"/>.</summary>
    public AnswerForm? Form { get; init; }

    /// <summary>The question and what is put around it; null for <see cref="AttackScoring.Asked"/>.</summary>
    public Func<AttackItem, AskedQuestion>? Asked { get; init; }

    /// <summary>
    /// The beginning of the answer, as if the model had written it (prefilling); not scored. Without white space at its ends.
    /// </summary>
    public string Opening { get; init; } = "";

    /// <summary>Tokens put before the question (<see cref="AttackScoring.PrefixPlace"/>).</summary>
    public IReadOnlyList<int> PrefixTokens { get; init; } = [];

    /// <summary>
    /// Maps the embedding rows of the tokens [B, T, H] to the rows that the model reads, [B, P + T, H]: P vectors are put before or among
    /// the tokens of the prompt, none after it. The result belongs to the caller's dispose scope. Null for no change.
    /// </summary>
    public Func<Tensor, Tensor>? Embedded { get; init; }

    /// <summary>
    /// Maps a layer and the residual stream [B, T, H] after it to the stream that the next layer gets. The result belongs to the caller's
    /// dispose scope. Null for no change.
    /// </summary>
    public Func<int, Tensor, Tensor>? AfterLayer { get; init; }
}
