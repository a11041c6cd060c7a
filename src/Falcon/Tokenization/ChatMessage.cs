namespace Falcon.Tokenization;

/// <summary>One turn of a conversation.</summary>
/// <param name="Role">Who speaks: as a rule <c>system</c>, <c>user</c> or <c>assistant</c>.</param>
/// <param name="Content">What is said.</param>
public sealed record ChatMessage(string Role, string Content);
