using Falcon.Checkpoints.Safetensors;

namespace Falcon.Tests;

/// <summary>The tensors of a safetensors file as bytes, to be changed and written back.</summary>
internal sealed class StoredTensors
{
    private readonly string _path;

    private StoredTensors(string path) => _path = path;

    /// <summary>Name, dtype, shape and bytes of each tensor.</summary>
    public List<(string Name, string DType, long[] Shape, byte[] Bytes)> All { get; private init; } = [];

    public static StoredTensors Read(string path)
    {
        using var file = SafetensorsFile.Open(path);
        return new StoredTensors(path)
        {
            All = [.. file.Entries.Select(entry => (entry.Name, entry.DType, entry.Shape, file.Bytes(entry).ToArray()))],
        };
    }

    /// <summary>Changes a file in place.</summary>
    public static void Change(string path, Action<StoredTensors> change)
    {
        var tensors = Read(path);
        change(tensors);
        tensors.Write();
    }

    /// <summary>Adds a copy of a tensor under another name, with the first byte changed where asked for.</summary>
    public void Copy(string name, string copy, bool changed)
    {
        var source = All.Single(tensor => tensor.Name == name);
        byte[] bytes = [.. source.Bytes];
        if (changed)
            bytes[^2] ^= 1;
        All.Add(source with { Name = copy, Bytes = bytes });
    }

    /// <summary>Gives every tensor another name.</summary>
    public void Rename(Func<string, string> name)
    {
        for (var i = 0; i < All.Count; i++)
            All[i] = All[i] with { Name = name(All[i].Name) };
    }

    private void Write()
    {
        File.Delete(_path);
        SafetensorsWriter.Write(
            _path,
            [.. All.Select(tensor => new SafetensorsSource(tensor.Name, tensor.DType, tensor.Shape, stream => stream.Write(tensor.Bytes)))]
        );
    }
}
