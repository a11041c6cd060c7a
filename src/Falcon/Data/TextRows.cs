namespace Falcon.Data;

/// <summary>Plain text files: one text a line, or texts separated by blank lines.</summary>
internal static class TextRows
{
    public static IEnumerable<CorpusRecord> Read(string path)
    {
        var byBlankLine = HasBlankLineBetweenTexts(path);
        var text = new List<string>();
        var first = 0;
        foreach (var (content, line) in Utf8Lines.Read(path))
        {
            var blank = string.IsNullOrWhiteSpace(content);
            if (!blank)
            {
                if (text.Count == 0) first = line;
                text.Add(content);
            }
            if (text.Count == 0 || (byBlankLine && !blank)) continue;
            yield return new CorpusRecord(null, null, string.Join('\n', text), first);
            text.Clear();
        }
        if (text.Count > 0) yield return new CorpusRecord(null, null, string.Join('\n', text), first);
    }

    private static bool HasBlankLineBetweenTexts(string path)
    {
        var (seenText, seenBlankAfterText) = (false, false);
        foreach (var (content, _) in Utf8Lines.Read(path))
        {
            if (string.IsNullOrWhiteSpace(content)) seenBlankAfterText = seenText;
            else if (seenBlankAfterText) return true;
            else seenText = true;
        }
        return false;
    }
}
