using Falcon.Checkpoints;

namespace Falcon.Tests.Exchange;

/// <summary>Copies of model directories of which single bytes differ.</summary>
internal static class ChangedModel
{
    /// <summary>Copies a model directory and inverts every third byte of some tensors.</summary>
    public static string Write(string source, string directory, params string[] tensors)
    {
        Directory.CreateDirectory(directory);
        foreach (var path in Directory.EnumerateFiles(source)) File.Copy(path, Path.Combine(directory, Path.GetFileName(path)));
        foreach (var name in tensors) Invert(directory, name);
        return directory;
    }

    /// <summary>Inverts every third byte of a tensor.</summary>
    public static void Invert(string directory, string name)
    {
        string path;
        long start, length;
        using (var files = WeightFiles.Open(directory))
        {
            var (file, entry) = files.Locate(name);
            (path, start, length) = (file.Path, file.DataStart + entry.Begin, entry.ByteLength);
        }

        var bytes = File.ReadAllBytes(path);
        for (var i = 0; i < length; i += 3) bytes[start + i] ^= 0xFF;
        File.WriteAllBytes(path, bytes);
    }
}
