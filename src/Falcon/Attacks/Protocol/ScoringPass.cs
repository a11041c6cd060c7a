using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Attacks.Protocol;

/// <summary>What is done to a model or its input while it answers; the default is nothing.</summary>
internal sealed record ScoringPass
{
    /// <summary>A model in place of the attacked one (changed weights), borrowed.</summary>
    public CausalLM? Model { get; init; }

    /// <summary>By what it answers; null for <see cref="AttackData.Form"/>.</summary>
    public AnswerForm? Form { get; init; }

    /// <summary>The whole text before the answer; <see cref="AttackScoring.Prompt"/> when null.</summary>
    public Func<AttackItem, string>? Prompt { get; init; }

    /// <summary>What is put into the model's mouth between prompt and answer; not scored.</summary>
    public string Opening { get; init; } = "";

    /// <summary>Tokens before the prompt, after a begin-of-text token.</summary>
    public IReadOnlyList<int> PrefixTokens { get; init; } = [];

    /// <summary>
    /// The tokens' rows of the embedding matrix [B, T, H] to those that are read in their place, [B, P + T, H]: P vectors before or among
    /// the T, none after the prompt. The result belongs to the caller's scope.
    /// </summary>
    public Func<Tensor, Tensor>? Embedded { get; init; }

    /// <summary>
    /// Layer and residual stream [B, T, H] after it to the stream that goes on. The result belongs to the caller's scope.
    /// </summary>
    public Func<int, Tensor, Tensor>? AfterLayer { get; init; }
}
