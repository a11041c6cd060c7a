using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using static TorchSharp.torch;

namespace Falcon.Tests;

/// <summary>A .safetensors file of golden numbers, read whole; a minimal reader for tests that shares no code with the product's.</summary>
internal sealed class FixtureTensors
{
    private readonly byte[] _bytes;
    private readonly int _dataStart;
    private readonly Dictionary<string, JsonElement> _header;

    public FixtureTensors(string path)
    {
        _bytes = File.ReadAllBytes(path);
        var headerLength = (int)BinaryPrimitives.ReadInt64LittleEndian(_bytes);
        _dataStart = 8 + headerLength;
        _header = JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(_bytes.AsSpan(8, headerLength))!;
        _header.Remove("__metadata__");
    }

    /// <summary>The names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => _header.Keys;

    /// <summary>Whether a tensor of this name is stored.</summary>
    public bool Has(string name) => _header.ContainsKey(name);

    /// <summary>The tensor of this name: F32, F64 and I64 as stored, BF16 as bfloat16.</summary>
    public Tensor this[string name]
    {
        get
        {
            var entry = _header[name];
            var shape = entry.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()).ToArray();
            var offsets = entry.GetProperty("data_offsets").EnumerateArray().Select(offset => offset.GetInt32()).ToArray();
            var raw = _bytes.AsSpan(_dataStart + offsets[0], offsets[1] - offsets[0]);
            return entry.GetProperty("dtype").GetString() switch
            {
                "F32" => tensor(MemoryMarshal.Cast<byte, float>(raw).ToArray(), shape),
                "F64" => tensor(MemoryMarshal.Cast<byte, double>(raw).ToArray(), shape),
                "I64" => tensor(MemoryMarshal.Cast<byte, long>(raw).ToArray(), shape),
                "BF16" => tensor(WidenedBfloat16(raw), shape).to(bfloat16),
                var other => throw new NotSupportedException($"{name}: {other}"),
            };
        }
    }

    private static float[] WidenedBfloat16(ReadOnlySpan<byte> raw)
    {
        var halves = MemoryMarshal.Cast<byte, ushort>(raw);
        var values = new float[halves.Length];
        for (var i = 0; i < values.Length; i++) values[i] = BitConverter.UInt32BitsToSingle((uint)halves[i] << 16);
        return values;
    }
}
