using System.Globalization;
using System.Text;
using Falcon.Tokenization.Patterns;

namespace Falcon.Tokenization;

/// <summary>The <c>decoder</c> of a tokenizer.json: turns tokens back into text.</summary>
internal static class Decoders
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads the function from tokens to text; an unknown type is an error that names it.</summary>
    public static Func<List<string>, string> Read(TokenizerSection section)
    {
        if (section.IsNull) return tokens => string.Join(' ', tokens);
        var step = ReadStep(section);
        return tokens => string.Concat(step(tokens));
    }

    private static Func<List<string>, List<string>> ReadStep(TokenizerSection section)
    {
        switch (section["type"].Text())
        {
            case "Sequence":
                var steps = section["decoders"].Items().Select(ReadStep).ToArray();
                return tokens => steps.Aggregate(tokens, (current, step) => step(current));
            case "ByteLevel": return ByteLevel;
            case "ByteFallback": return ByteFallback;
            case "Fuse": return tokens => [string.Concat(tokens)];
            case "Replace":
                var pattern = SplitPattern.Read(section["pattern"]);
                var content = section["content"].Text();
                return tokens => tokens.ConvertAll(token => pattern.Replace(token, content));
            case "Strip":
                var (stripped, start, stop) = (section["content"].Text(), section["start"].Number(), section["stop"].Number());
                if (stripped.Length != 1) throw section["content"].Unsupported("one character expected");
                return tokens => tokens.ConvertAll(token => Strip(token, stripped[0], start, stop));
            case "Metaspace":
                var replacement = section["replacement"].Text();
                var keepsFirst =
                    (section["prepend_scheme"].TextOrNull() ?? (section["add_prefix_space"].Flag(true) ? "always" : "never")) == "never";
                return tokens =>
                    [
                        .. tokens.Select(
                            (token, index) => token.Replace(replacement, index == 0 && !keepsFirst ? "" : " ", StringComparison.Ordinal)
                        ),
                    ];
            case var unknown:
                throw section.Unsupported($"the decoder type '{unknown}' is not supported");
        }
    }

    private static List<string> ByteLevel(List<string> tokens)
    {
        var bytes = new List<byte>();
        foreach (var token in tokens) ByteLevelAlphabet.Decode(token, bytes);
        return [Encoding.UTF8.GetString([.. bytes])];
    }

    /// <summary>
    /// Runs of tokens like <c>&lt;0x0A&gt;</c> become the text of their bytes, or one U+FFFD for each byte if they are not UTF-8.
    /// </summary>
    private static List<string> ByteFallback(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        var bytes = new List<byte>();
        foreach (var token in tokens)
        {
            if (token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
                && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
            {
                bytes.Add(value);
                continue;
            }
            Flush();
            result.Add(token);
        }
        Flush();
        return result;

        void Flush()
        {
            if (bytes.Count == 0) return;
            try
            {
                result.Add(StrictUtf8.GetString([.. bytes]));
            }
            catch (DecoderFallbackException)
            {
                result.Add(new string('\uFFFD', bytes.Count));
            }
            bytes.Clear();
        }
    }

    private static string Strip(string token, char content, int start, int stop)
    {
        var first = 0;
        while (first < start && first < token.Length && token[first] == content) first++;
        var end = token.Length;
        while (token.Length - end < stop && end > first && token[end - 1] == content) end--;
        return token[first..end];
    }
}
