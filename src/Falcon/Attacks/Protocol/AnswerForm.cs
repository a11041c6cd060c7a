namespace Falcon.Attacks.Protocol;

/// <summary>By what a model answers a multiple-choice question.</summary>
internal enum AnswerForm
{
    /// <summary>The choice whose text is most likely per token after the question.</summary>
    FullAnswer,

    /// <summary>The choice whose letter is most likely after question and lettered choices.</summary>
    Letter,
}
