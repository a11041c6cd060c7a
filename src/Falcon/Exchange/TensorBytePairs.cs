using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Falcon.Checkpoints.Safetensors;

namespace Falcon.Exchange;

/// <summary>
/// Hashes, compares and combines the bytes of tensors in pieces, so that a tensor of any size takes a few megabytes of memory.
/// </summary>
internal static class TensorBytePairs
{
    private const int PieceLength = 1 << 22;

    /// <summary>SHA-256 of a tensor's bytes, as 64 lower-case hexadecimal digits.</summary>
    public static string Sha256((SafetensorsFile File, SafetensorsEntry Entry) tensor, CancellationToken cancellation)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[(int)Math.Min(PieceLength, tensor.Entry.ByteLength)];
        for (var offset = 0L; offset < tensor.Entry.ByteLength; offset += buffer.Length)
        {
            cancellation.ThrowIfCancellationRequested();
            var piece = buffer.AsSpan(0, (int)Math.Min(buffer.Length, tensor.Entry.ByteLength - offset));
            tensor.File.Read(tensor.Entry, offset, piece);
            hash.AppendData(piece);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Whether two tensors of the same size have the same bytes.</summary>
    public static bool AreEqual(
        (SafetensorsFile File, SafetensorsEntry Entry) first,
        (SafetensorsFile File, SafetensorsEntry Entry) second,
        CancellationToken cancellation
    )
    {
        var length = (int)Math.Min(PieceLength, first.Entry.ByteLength);
        var (left, right) = (new byte[length], new byte[length]);
        for (var offset = 0L; offset < first.Entry.ByteLength; offset += length)
        {
            cancellation.ThrowIfCancellationRequested();
            var count = (int)Math.Min(length, first.Entry.ByteLength - offset);
            first.File.Read(first.Entry, offset, left.AsSpan(0, count));
            second.File.Read(second.Entry, offset, right.AsSpan(0, count));
            if (!left.AsSpan(0, count).SequenceEqual(right.AsSpan(0, count))) return false;
        }

        return true;
    }

    /// <summary>
    /// Writes first XOR second to a stream, or the first unchanged when the second is null. <paramref name="sees"/> is called with each
    /// piece of the first, the piece that is written, and their length.
    /// </summary>
    public static void WriteXor(
        (SafetensorsFile File, SafetensorsEntry Entry) first,
        (SafetensorsFile File, SafetensorsEntry Entry)? second,
        Stream destination,
        CancellationToken cancellation,
        Action<byte[], byte[], int>? sees = null
    )
    {
        var (left, right, mixed) = (new byte[PieceLength], new byte[PieceLength], new byte[PieceLength]);
        for (var offset = 0L; offset < first.Entry.ByteLength; offset += PieceLength)
        {
            cancellation.ThrowIfCancellationRequested();
            var count = (int)Math.Min(PieceLength, first.Entry.ByteLength - offset);
            first.File.Read(first.Entry, offset, left.AsSpan(0, count));
            if (second is var (file, entry))
            {
                file.Read(entry, offset, right.AsSpan(0, count));
                Xor(left.AsSpan(0, count), right.AsSpan(0, count), mixed);
            }

            var written = second is null ? left : mixed;
            sees?.Invoke(left, written, count);
            destination.Write(written, 0, count);
        }
    }

    private static void Xor(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> result)
    {
        var a = MemoryMarshal.Cast<byte, Vector<byte>>(left);
        var b = MemoryMarshal.Cast<byte, Vector<byte>>(right);
        var c = MemoryMarshal.Cast<byte, Vector<byte>>(result);
        for (var i = 0; i < a.Length; i++) c[i] = a[i] ^ b[i];
        for (var i = a.Length * Vector<byte>.Count; i < left.Length; i++) result[i] = (byte)(left[i] ^ right[i]);
    }
}
