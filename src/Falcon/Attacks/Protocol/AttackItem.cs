namespace Falcon.Attacks.Protocol;

/// <summary>A multiple-choice question about a fact.</summary>
/// <param name="Question">The question, without template.</param>
/// <param name="Choices">The answers to choose from, two or more.</param>
/// <param name="Gold">Index of the right one.</param>
internal sealed record AttackItem(string Question, IReadOnlyList<string> Choices, int Gold)
{
    /// <summary>The right answer.</summary>
    public string Answer => Choices[Gold];
}
