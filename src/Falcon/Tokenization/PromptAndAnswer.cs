namespace Falcon.Tokenization;

/// <summary>The tokens of a prompt and its answer, encoded together.</summary>
/// <param name="Tokens">Token ids of both.</param>
/// <param name="AnswerStart">
/// Index of the first token of the answer: the number of tokens that this encoding shares with that of the prompt alone; from 1, as the
/// first token of a text is never predicted, to the index of the last token.
/// </param>
public readonly record struct PromptAndAnswer(int[] Tokens, int AnswerStart);
