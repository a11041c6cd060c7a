using System.Text.Json;

namespace Falcon.Runtime;

/// <summary>
/// The output directory of a run, which appears whole or not at all. Everything is written to a working directory, <c>PATH.partial</c>, and
/// <see cref="Commit"/> renames it. Without a commit <see cref="Dispose"/> removes it, unless <see cref="KeepForResume"/> was called
/// because it holds a state to resume from.
/// </summary>
public sealed class RunDirectory : IDisposable
{
    /// <summary>The suffix of the working directory.</summary>
    public const string WorkingSuffix = ".partial";

    private const string LockName = ".lock";
    private const string ResumableName = ".resumable";

    private readonly string? _firstCreatedParent;
    private FileStream? _lock;
    private bool _committed;

    private RunDirectory(string path, string? firstCreatedParent, FileStream held, bool resumed)
    {
        FinalPath = path;
        _firstCreatedParent = firstCreatedParent;
        _lock = held;
        IsResumed = resumed;
    }

    /// <summary>The full path at which the directory appears.</summary>
    public string FinalPath { get; }

    /// <summary>The full path that is written to until the commit: <see cref="FinalPath"/> + <c>.partial</c>.</summary>
    public string WorkingPath => FinalPath + WorkingSuffix;

    /// <summary>Whether the working directory holds the state of an interrupted run.</summary>
    public bool IsResumed { get; }

    /// <summary>
    /// Opens the working directory of a run. If a killed run left one without a state, it is emptied first.
    /// </summary>
    /// <param name="path">The path of the finished directory.</param>
    /// <param name="resume">Whether to continue from the state that an interrupted run of the same path left.</param>
    /// <exception cref="UserInputException">
    /// The path exists, its parent is not writable, another run is writing there, an interrupted run left a state and
    /// <paramref name="resume"/> is false, or it is true and there is no state.
    /// </exception>
    public static RunDirectory Create(string path, bool resume = false)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (File.Exists(full))
            throw new UserInputException($"{path}: it is a file; --out takes a directory that does not exist yet.");
        if (Directory.Exists(full))
            throw new UserInputException($"{path}: the output directory exists; choose another --out or remove it.");

        var working = full + WorkingSuffix;
        var hasState = File.Exists(Path.Combine(working, ResumableName));
        if (resume && !hasState)
            throw new UserInputException(
                $"{path}: there is no interrupted run to resume (looked for {working}); start it without --resume."
            );
        if (!resume && hasState)
            throw new UserInputException(
                $"{path}: an interrupted run is in {working}; continue it with --resume or remove that directory."
            );

        var firstCreated = FirstMissingParent(full);
        CreateWorking(path, working, firstCreated);
        var held = Lock(path, working);
        if (!resume) Empty(working);
        return new RunDirectory(full, firstCreated, held, resume);
    }

    /// <summary>Whether an interrupted run of this path left a state to continue from.</summary>
    public static bool IsInterrupted(string path) =>
        File.Exists(Path.Combine(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)) + WorkingSuffix, ResumableName));

    /// <summary>The full path of a file or folder in the working directory; its parent folders are created.</summary>
    public string PathOf(params string[] parts)
    {
        var path = Path.Combine([WorkingPath, .. parts]);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        return path;
    }

    /// <summary>Writes an object as indented JSON (<see cref="ResultJson.Options"/>).</summary>
    public void WriteJson<T>(string name, T value) =>
        File.WriteAllText(PathOf(name), JsonSerializer.Serialize(value, ResultJson.Options) + "\n");

    /// <summary>Appends one line of JSON (<see cref="ResultJson.LineOptions"/>) to a JSON-lines file.</summary>
    public void AppendLine<T>(string name, T value) =>
        File.AppendAllText(PathOf(name), JsonSerializer.Serialize(value, ResultJson.LineOptions) + "\n");

    /// <summary>
    /// Keeps the working directory if the run does not commit; call it after a state to resume from has been written.
    /// </summary>
    public void KeepForResume()
    {
        var marker = PathOf(ResumableName);
        if (!File.Exists(marker)) File.WriteAllText(marker, "");
    }

    /// <summary>
    /// Undoes <see cref="KeepForResume"/>, for a state that is of no use: the working directory is removed unless the run commits.
    /// </summary>
    public void DiscardState() => File.Delete(PathOf(ResumableName));

    /// <summary>Checks that the disk has room for the output.</summary>
    /// <param name="bytes">Bytes that will be written.</param>
    /// <param name="purpose">What for, such as <c>the model</c>.</param>
    /// <exception cref="UserInputException">There is not enough room; the message gives path and sizes.</exception>
    public void RequireFreeSpace(long bytes, string purpose) => RequireFreeSpace(FinalPath, bytes, FreeSpace, purpose);

    /// <summary>Free bytes on the disk of the directory.</summary>
    public long FreeSpace => new DriveInfo(WorkingPath).AvailableFreeSpace;

    /// <summary>Renames the working directory to <see cref="FinalPath"/>.</summary>
    /// <exception cref="UserInputException">The path has come into existence meanwhile; the working directory is kept.</exception>
    public void Commit()
    {
        ObjectDisposedException.ThrowIf(_lock is null, this);
        var resumable = Path.Combine(WorkingPath, ResumableName);
        Unlock();
        try
        {
            Directory.Move(WorkingPath, FinalPath);
        }
        catch (IOException error) when (Directory.Exists(FinalPath) || File.Exists(FinalPath))
        {
            File.WriteAllText(resumable, "");
            throw new UserInputException(
                $"{FinalPath}: it was created while the run was working; the result is in {WorkingPath}, move it by hand.",
                error
            );
        }
        _committed = true;
        File.Delete(Path.Combine(FinalPath, ResumableName));
    }

    /// <summary>Removes the working directory unless it was committed or kept.</summary>
    public void Dispose()
    {
        Unlock();
        if (_committed || !Directory.Exists(WorkingPath) || File.Exists(Path.Combine(WorkingPath, ResumableName))) return;
        Directory.Delete(WorkingPath, recursive: true);
        RemoveEmptyParents();
    }

    internal static void RequireFreeSpace(string path, long bytes, long available, string purpose)
    {
        if (available < bytes)
            throw new UserInputException(
                $"{path}: {purpose} needs {PeakMemory.Text(bytes)} and the disk has {PeakMemory.Text(available)} free; "
                    + "free some space or choose another --out."
            );
    }

    private static void CreateWorking(string path, string working, string? firstCreated)
    {
        try
        {
            Directory.CreateDirectory(working);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            if (firstCreated is not null && Directory.Exists(firstCreated))
                Directory.Delete(firstCreated, recursive: true);
            throw new UserInputException(
                $"{path}: the directory cannot be created ({error.Message.TrimEnd('.')}); choose an --out that you may write to.",
                error
            );
        }
    }

    // Held during the run, so that a second run of the same path cannot write into the same working directory.
    private static FileStream Lock(string path, string working)
    {
        try
        {
            return new FileStream(Path.Combine(working, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException error)
        {
            throw new UserInputException($"{path}: another run is writing to {working}; wait for it or choose another --out.", error);
        }
    }

    private void Unlock()
    {
        if (_lock is null) return;
        _lock.Dispose();
        _lock = null;
        File.Delete(Path.Combine(WorkingPath, LockName));
    }

    private static void Empty(string working)
    {
        foreach (var folder in Directory.EnumerateDirectories(working)) Directory.Delete(folder, recursive: true);
        foreach (var file in Directory.EnumerateFiles(working))
            if (Path.GetFileName(file) != LockName) File.Delete(file);
    }

    private static string? FirstMissingParent(string full)
    {
        string? missing = null;
        var parent = Path.GetDirectoryName(full);
        while (parent is not null && !Directory.Exists(parent)) (missing, parent) = (parent, Path.GetDirectoryName(parent));
        return missing;
    }

    private void RemoveEmptyParents()
    {
        if (_firstCreatedParent is null) return;
        var parent = Path.GetDirectoryName(FinalPath)!;
        while (parent.Length >= _firstCreatedParent.Length && !Directory.EnumerateFileSystemEntries(parent).Any())
        {
            Directory.Delete(parent);
            parent = Path.GetDirectoryName(parent)!;
        }
    }
}
