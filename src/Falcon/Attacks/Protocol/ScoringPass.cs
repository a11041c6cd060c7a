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

    /// <summary>The whole text before the answer; null for <see cref="AttackScoring.Prompt"/>.</summary>
    public Func<AttackItem, string>? Prompt { get; init; }

    /// <summary>Text between prompt and answer, as if the model had begun its answer with it (prefilling); not scored.</summary>
    public string Opening { get; init; } = "";

    /// <summary>Tokens put before the prompt, after a begin-of-text token.</summary>
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
