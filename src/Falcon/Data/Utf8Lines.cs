using System.Buffers;
using System.Text;
using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>Strict UTF-8: an invalid byte is an error that names its line, never a replacement character.</summary>
internal static class Utf8Lines
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>
    /// The lines of a file, numbered from 1, without line ends (LF or CR LF) and byte order mark. A line end at the end of the file does
    /// not begin another line.
    /// </summary>
    public static IEnumerable<(string Text, int Line)> Read(string path)
    {
        using var stream = OpenFile(path);
        var pending = new ArrayBufferWriter<byte>();
        var chunk = new byte[1 << 16];
        var line = 1;
        for (int count; (count = stream.Read(chunk)) > 0;)
        {
            var start = 0;
            for (int end; (end = Array.IndexOf(chunk, (byte)'\n', start, count - start)) >= 0; start = end + 1)
            {
                pending.Write(chunk.AsSpan(start, end - start));
                yield return (Decode(path, pending.WrittenSpan, line), line++);
                pending.ResetWrittenCount();
            }
            pending.Write(chunk.AsSpan(start, count - start));
        }
        if (pending.WrittenCount > 0) yield return (Decode(path, pending.WrittenSpan, line), line);
    }

    /// <summary>The bytes of a whole file, checked to be UTF-8, without a byte order mark.</summary>
    public static ReadOnlyMemory<byte> ReadAllBytes(string path)
    {
        using var stream = OpenFile(path);
        if (stream.Length > Array.MaxLength)
            throw new UserInputException($"{path}: a file over 2 GB is read only as .jsonl, .txt or .parquet; convert it to .jsonl.");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        var line = 1;
        for (var start = 0; start < bytes.Length; line++)
        {
            var end = Array.IndexOf(bytes, (byte)'\n', start);
            if (end < 0) end = bytes.Length;
            Decode(path, bytes.AsSpan(start, end - start), line);
            start = end + 1;
        }
        return bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? bytes.AsMemory(Encoding.UTF8.Preamble.Length) : bytes;
    }

    private static FileStream OpenFile(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{path}: the file cannot be opened ({error.Message}); check its permissions.", error);
        }
    }

    private static string Decode(string path, ReadOnlySpan<byte> bytes, int line)
    {
        if (line == 1 && (bytes.StartsWith((byte[])[0xFF, 0xFE]) || bytes.StartsWith((byte[])[0xFE, 0xFF])))
            throw new UserInputException($"{path}: the file is UTF-16; save it as UTF-8.");
        if (line == 1 && bytes.StartsWith(Encoding.UTF8.Preamble)) bytes = bytes[Encoding.UTF8.Preamble.Length..];
        if (bytes.EndsWith("\r"u8)) bytes = bytes[..^1];
        try
        {
            return Strict.GetString(bytes);
        }
        catch (DecoderFallbackException error)
        {
            throw new UserInputException(
                $"{path}, line {line}: invalid UTF-8 at byte {error.Index + 1} of the line; save the file as UTF-8.",
                error
            );
        }
    }
}
