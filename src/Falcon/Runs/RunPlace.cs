using System.Text.Json;
using Falcon.Methods.Terms;
using Falcon.Runtime;

namespace Falcon.Runs;

/// <summary>Where a run keeps its files: a run directory, or for a run in memory a folder for scratch files that goes with it.</summary>
public sealed class RunPlace : IDisposable
{
    private readonly string? _temporary;

    private RunPlace(RunDirectory? directory, string? temporary) => (Directory, _temporary) = (directory, temporary);

    /// <summary>The run directory; null for a run in memory.</summary>
    public RunDirectory? Directory { get; }

    /// <summary>Whether the run goes on after an interruption.</summary>
    public bool IsResumed => Directory?.IsResumed ?? false;

    /// <summary>Bytes free where the files lie.</summary>
    public long FreeSpace => Directory?.FreeSpace ?? new DriveInfo(_temporary!).AvailableFreeSpace;

    /// <summary>Texts that the run makes once.</summary>
    public TextKeeper Texts => Directory is null ? TextKeeper.InMemory : new DirectoryTexts(Directory);

    /// <summary>A run that writes its directory, which is borrowed.</summary>
    public static RunPlace Of(RunDirectory directory) => new(directory, null);

    /// <summary>A run in memory.</summary>
    public static RunPlace InMemory() => new(null, System.IO.Directory.CreateTempSubdirectory("falcon-run-").FullName);

    /// <summary>The path of a file of the run.</summary>
    public string PathOf(string name) => Directory?.PathOf(name) ?? Path.Combine(_temporary!, name);

    /// <summary>Removes the folder of a run in memory.</summary>
    public void Dispose()
    {
        if (_temporary is not null && System.IO.Directory.Exists(_temporary)) System.IO.Directory.Delete(_temporary, recursive: true);
    }

    // Written once and read by a resumed run, so that it goes on with the same texts.
    private sealed class DirectoryTexts(RunDirectory directory) : TextKeeper
    {
        public override IReadOnlyList<KeptText> Get(string name, Func<IReadOnlyList<KeptText>> make)
        {
            var path = directory.PathOf(name);
            if (!directory.IsResumed || !File.Exists(path))
                OutputFile.Write(path, string.Concat(make().Select(text => JsonSerializer.Serialize(text, ResultJson.LineOptions) + "\n")));
            return [.. File.ReadLines(path).Select(line => JsonSerializer.Deserialize<KeptText>(line, ResultJson.LineOptions)!)];
        }
    }
}
