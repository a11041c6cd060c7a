using Falcon.Data;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// What an attacker has and what he is judged by. The two halves share no fact: what the attacker tunes or trains on never tells an answer
/// that is scored (the protocol of Deeb and Roger 2024, arXiv 2410.08827).
/// </summary>
/// <param name="Development">Questions with answers that the attacker may tune and train on.</param>
/// <param name="Test">Questions that are scored.</param>
/// <param name="Utility">
/// Questions about what the model shall keep: a changed model that no longer answers these is no recovered one.
/// </param>
/// <param name="ForgetTexts">Texts of the forget set that tell nothing about <paramref name="Test"/>.</param>
/// <param name="RetainTexts">Texts of the retain set.</param>
/// <param name="BenignTexts">Texts of neither.</param>
/// <param name="Template">How question and answer become text.</param>
internal sealed record AttackData(
    IReadOnlyList<AttackItem> Development,
    IReadOnlyList<AttackItem> Test,
    IReadOnlyList<AttackItem> Utility,
    IReadOnlyList<AttackText> ForgetTexts,
    IReadOnlyList<AttackText> RetainTexts,
    IReadOnlyList<AttackText> BenignTexts,
    PromptTemplate Template
)
{
    /// <summary>By what the model answers: the form in which the original does better on <see cref="Development"/>.</summary>
    public AnswerForm Form { get; init; }
}
