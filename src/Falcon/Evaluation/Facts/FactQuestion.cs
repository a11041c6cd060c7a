namespace Falcon.Evaluation.Facts;

/// <summary>One question about a fact, with whole answers to choose from.</summary>
/// <param name="Question">The question; in completion form the beginning of a sentence.</param>
/// <param name="Options">The answers to choose from, at least two; in completion form continuations, which begin with a space.</param>
/// <param name="Right">Index of the right one.</param>
/// <param name="BareOptions">The same answers without a sentence around them; empty where the row has none.</param>
/// <param name="Accepted">What a generated answer must contain one of; empty where the row has none.</param>
/// <param name="CaseSensitive">Whether case and accents count when a generated answer is judged.</param>
/// <param name="IsCompletion">Whether the question is raw text that the model continues; otherwise it is asked as a user.</param>
/// <param name="Fact">Which fact is asked for. Questions of one fact are wordings of the same, not independent examples.</param>
internal sealed record FactQuestion(
    string Question,
    IReadOnlyList<string> Options,
    int Right,
    IReadOnlyList<string> BareOptions,
    IReadOnlyList<string> Accepted,
    bool CaseSensitive,
    bool IsCompletion,
    string Fact
);
