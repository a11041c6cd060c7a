using System.Text;

namespace Falcon.Tokenization;

/// <summary>The 256 visible characters that stand for the 256 bytes in a byte-level vocabulary (the mapping of GPT-2).</summary>
/// <remarks>
/// Printable bytes (! to ~, ¡ to ¬, ® to ÿ) map to the character of the same number; the other 68 map to U+0100 and up, in byte order.
/// </remarks>
internal static class ByteLevelAlphabet
{
    private static readonly char[] Characters = MakeCharacters();
    private static readonly short[] Bytes = MakeBytes();

    /// <summary>The character of a byte.</summary>
    public static char CharacterOf(byte value) => Characters[value];

    /// <summary>The UTF-8 bytes of the text, as one character for each byte.</summary>
    public static string Encode(ReadOnlySpan<char> text)
    {
        var count = Encoding.UTF8.GetByteCount(text);
        Span<byte> bytes = count <= 256 ? stackalloc byte[count] : new byte[count];
        Encoding.UTF8.GetBytes(text, bytes);
        Span<char> encoded = count <= 256 ? stackalloc char[count] : new char[count];
        for (var i = 0; i < count; i++) encoded[i] = Characters[bytes[i]];
        return new string(encoded);
    }

    /// <summary>
    /// Adds the bytes of a token; a token with a character outside the alphabet gives its own UTF-8 bytes.
    /// </summary>
    public static void Decode(string token, List<byte> output)
    {
        foreach (var character in token)
        {
            if (character >= Bytes.Length || Bytes[character] < 0)
            {
                output.AddRange(Encoding.UTF8.GetBytes(token));
                return;
            }
        }
        foreach (var character in token) output.Add((byte)Bytes[character]);
    }

    private static char[] MakeCharacters()
    {
        var characters = new char[256];
        var next = '\u0100';
        for (var value = 0; value < 256; value++)
            characters[value] = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)value : next++;
        return characters;
    }

    private static short[] MakeBytes()
    {
        var bytes = new short[0x100 + 68];
        Array.Fill(bytes, (short)-1);
        for (short value = 0; value < 256; value++) bytes[Characters[value]] = value;
        return bytes;
    }
}
