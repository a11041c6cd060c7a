using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Runs.Evaluating;

/// <summary>What <c>logprobs</c> wrote.</summary>
/// <param name="Out">The safetensors file.</param>
/// <param name="Texts">Number of texts.</param>
/// <param name="Tokens">Number of their tokens.</param>
/// <param name="LogLikelihood">Sum of all log-probabilities, natural logarithm.</param>
/// <param name="TokenPerplexity">exp(-mean log-probability) over all predicted tokens; null where none is predicted.</param>
/// <param name="Logits">Which logits were written: <c>none</c>, <c>last</c> or <c>all</c>.</param>
/// <param name="Sha256">Hash of the file.</param>
/// <param name="Model">The model.</param>
/// <param name="Data">The texts.</param>
/// <param name="Environment">Versions, device, dtype and start.</param>
/// <param name="Seconds">Wall-clock time.</param>
public sealed record LogprobsRecord(
    string Out,
    int Texts,
    long Tokens,
    double LogLikelihood,
    double? TokenPerplexity,
    string Logits,
    string Sha256,
    EvaluatedModel Model,
    FileHash Data,
    EnvironmentRecord Environment,
    double Seconds
);
