using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Falcon.Models;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Engine;

/// <summary>Where the activations of one text (or of one left-padded batch) lie in the file of a store.</summary>
/// <param name="Length">Tokens, padding on the left included.</param>
/// <param name="Places">First byte of each part.</param>
/// <param name="Widths">Last dimension of each part.</param>
public sealed record StoredActivations(int Length, IReadOnlyList<long> Places, IReadOnlyList<long> Widths);

/// <summary>
/// A directory that keeps <see cref="ActivationCache"/>s for later runs. A file is named by the SHA-256 of everything its numbers depend
/// on: the weights and config.json of the model, layers, dtype, device, threads, version of libtorch, and the texts in the order and
/// grouping in which they are run. A run with another model, text or setting therefore never reads it. An index beside it holds the places
/// of the activations and the hash of the file itself. A damaged or unfinished file is computed again. Any file may be deleted at any time.
/// </summary>
public sealed class ActivationStore
{
    private const int Format = 1;
    private const string Unfinished = ".unfinished";

    private readonly string _directory, _modelHash;
    private readonly CancellationToken _cancellation;

    /// <summary>Opens the store, and reads the model once for its hash.</summary>
    /// <param name="directory">Created where it is missing.</param>
    /// <param name="model">The model directory.</param>
    /// <param name="cancellation">Stops the hashing.</param>
    /// <exception cref="UserInputException">The directory cannot be created.</exception>
    public ActivationStore(string directory, string model, CancellationToken cancellation = default)
    {
        try
        {
            Directory.CreateDirectory(directory);
#pragma warning disable RS0030   // the age of a file on this machine's disk, not a time of the run
            foreach (
                var left in Directory
                    .EnumerateFiles(directory, "*" + Unfinished)
                    .Where(file => File.GetLastWriteTimeUtc(file) < DateTime.UtcNow - TimeSpan.FromDays(1))
            )
                File.Delete(left); // of a run that was killed
#pragma warning restore RS0030
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException(
                $"{directory}: the directory for activations cannot be created ({e.Message.TrimEnd('.')}); choose another --cache-dir.",
                e
            );
        }

        (_directory, _cancellation) = (directory, cancellation);
        _modelHash = ContentHash.OfModel(model, cancellation).Sha256 + ContentHash.OfFile(Path.Combine(model, "config.json"), cancellation);
    }

    /// <summary>The name of the file for these activations: 64 hexadecimal digits.</summary>
    internal string KeyOf(CacheParts parts, CausalLM frozen, IReadOnlyList<TokenBatch> units)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
            $"{Format} {_modelHash} {parts} {frozen.DType} {frozen.Device.type} {get_num_threads()} {__version__}\n")));
        foreach (var unit in units)
        {
            hash.AppendData(MemoryMarshal.AsBytes<int>([unit.Side == PaddingSide.Left ? 1 : 0, unit.Rows, unit.Length]));
            foreach (var row in unit.Sequences)
            {
                hash.AppendData(MemoryMarshal.AsBytes<int>([row.Length]));
                hash.AppendData(MemoryMarshal.AsBytes<int>(row));
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The kept activations; null where there are none, or where the file has changed since it was written.</summary>
    internal (ScratchFile File, IReadOnlyList<StoredActivations> Entries)? Find(string key)
    {
        try
        {
            if (!File.Exists(IndexOf(key)) || !File.Exists(DataOf(key))) return null;
            var index = JsonSerializer.Deserialize<Index>(File.ReadAllText(IndexOf(key)), ResultJson.Options);
            return index is not null && index.Sha256 == ContentHash.OfFile(DataOf(key), _cancellation)
                ? (ScratchFile.OpenKept(DataOf(key)), index.Entries)
                : null;
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>A file to fill, which counts for nothing until <see cref="Commit"/>. A run beside this one fills another.</summary>
    internal ScratchFile Create(string key)
    {
        foreach (var path in new[] { IndexOf(key), DataOf(key) }) File.Delete(path);
        return new ScratchFile(UnfinishedOf(key), kept: true);
    }

    /// <summary>Makes the filled file known to later runs.</summary>
    internal void Commit(string key, IReadOnlyList<StoredActivations> entries)
    {
        var hash = ContentHash.OfFile(UnfinishedOf(key), _cancellation);
        File.Move(UnfinishedOf(key), DataOf(key), overwrite: true);
        OutputFile.Write(IndexOf(key), JsonSerializer.Serialize(new Index(hash, entries), ResultJson.Options) + "\n");
    }

    /// <summary>Removes what was not finished.</summary>
    internal void Discard(string key) => File.Delete(UnfinishedOf(key));

    private string DataOf(string key) => Path.Combine(_directory, key + ".activations");

    private string IndexOf(string key) => Path.Combine(_directory, key + ".json");

    private string UnfinishedOf(string key) =>
        Path.Combine(_directory, string.Create(CultureInfo.InvariantCulture, $"{key}.{Environment.ProcessId}{Unfinished}"));

    private sealed record Index(string Sha256, IReadOnlyList<StoredActivations> Entries);
}
