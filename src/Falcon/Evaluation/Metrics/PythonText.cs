namespace Falcon.Evaluation.Metrics;

/// <summary>White space as Python sees it, on which the published metrics rest: .NET's, and U+001C to U+001F.</summary>
internal static class PythonText
{
    public static bool IsWhiteSpace(char character) => char.IsWhiteSpace(character) || character is >= '\u001c' and <= '\u001f';

    public static string Strip(string text) => StripSpan(text).ToString();

    public static ReadOnlySpan<char> StripSpan(ReadOnlySpan<char> text)
    {
        while (text.Length > 0 && IsWhiteSpace(text[0])) text = text[1..];
        return text[..TrimmedLength(text)];
    }

    /// <summary>Length without the white space at the end.</summary>
    public static int TrimmedLength(ReadOnlySpan<char> text)
    {
        var length = text.Length;
        while (length > 0 && IsWhiteSpace(text[length - 1])) length--;
        return length;
    }
}
