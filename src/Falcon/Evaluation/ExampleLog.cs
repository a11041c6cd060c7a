using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Falcon.Runtime;

namespace Falcon.Evaluation;

/// <summary>
/// The scores of single examples, one line of JSON each, appended batch by batch to a file beside the result file until the result is
/// written. An interrupted evaluation continues from it. A line is found only by the hash of everything it depends on: the model's files,
/// the task, versions, device, dtype, seed, and the tokens of the example.
/// </summary>
internal sealed class ExampleLog : IDisposable
{
    /// <summary>What is added to the path of the result file.</summary>
    public const string Suffix = ".partial.jsonl";

    private readonly string _path;
    private readonly Dictionary<string, LoggedExample> _examples = [];
    private FileStream? _stream;

    private ExampleLog(string path) => _path = path;

    /// <summary>Number of examples that an earlier run left.</summary>
    public int Found { get; private set; }

    /// <summary>Number of examples of an earlier run that were used.</summary>
    public int Used { get; private set; }

    /// <summary>
    /// Opens the log of a result file; an incomplete last line is removed. Where there is no log, the first example creates it.
    /// </summary>
    /// <exception cref="UserInputException">Another evaluation is writing there.</exception>
    public static ExampleLog Open(string resultPath)
    {
        var log = new ExampleLog(Path.GetFullPath(resultPath) + Suffix);
        if (File.Exists(log._path)) log.ReadExamples(log._stream = log.OpenFile());
        return log;
    }

    private FileStream OpenFile()
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
            return new FileStream(_path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException error)
        {
            throw new UserInputException(
                $"{_path}: it cannot be opened ({error.Message}); another evaluation is writing to the same --out, name another.",
                error
            );
        }
    }

    /// <summary>The hash under which an example is kept.</summary>
    public static string KeyOf(string scope, string kind, int index, ReadOnlySpan<int> tokens)
    {
        var text = new StringBuilder(scope).Append('\n').Append(kind).Append('\n').Append(index);
        foreach (var token in tokens) text.Append(' ').Append(token);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())).AsSpan(0, 16));
    }

    /// <summary>
    /// The examples of these keys; null unless all are there. A batch with a missing example is computed again as a whole, so that the
    /// numbers are those of an undisturbed run.
    /// </summary>
    public IReadOnlyList<LoggedExample>? FindAll(IReadOnlyList<string> keys)
    {
        if (keys.Any(key => !_examples.ContainsKey(key))) return null;
        Used += keys.Count;
        return [.. keys.Select(key => _examples[key])];
    }

    /// <summary>Appends a batch.</summary>
    public void Append(IEnumerable<LoggedExample> examples)
    {
        _stream ??= OpenFile();
        foreach (var example in examples)
            _stream.Write(Encoding.UTF8.GetBytes(JsonSerializer.Serialize(example, ResultJson.LineOptions) + "\n"));
        _stream.Flush();
    }

    /// <summary>Removes the file, once its examples have become a result.</summary>
    public void Delete()
    {
        Dispose();
        File.Delete(_path);
    }

    /// <summary>Closes the file; it stays for the next run.</summary>
    public void Dispose() => _stream?.Dispose();

    private void ReadExamples(FileStream stream)
    {
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        var end = 0;
        for (int next; (next = Array.IndexOf(bytes, (byte)'\n', end)) >= 0; end = next + 1)
        {
            try
            {
                if (
                    JsonSerializer.Deserialize<LoggedExample>(bytes.AsSpan(end, next - end), ResultJson.LineOptions) is
                    { Key: not null } example
                )
                    _examples[example.Key] = example;
            }
            catch (JsonException)
            {
                break; // nothing after a damaged line is trusted
            }
        }

        stream.SetLength(end);
        stream.Seek(0, SeekOrigin.End);
        Found = _examples.Count;
    }
}

/// <summary>One line of the log: the scores of the tokens of a text, or the tokens of an answer.</summary>
internal sealed record LoggedExample(string Key)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public float[]? LogProbabilities { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public bool[]? Hits { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public float[]? Means { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public float[]? Variances { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public int[]? Answer { get; init; }

    public static LoggedExample Of(string key, TokenScores scores, bool distributions) => new(key)
    {
        LogProbabilities = Floats(scores.LogProbabilities),
        Hits = scores.Hits,
        Means = distributions ? Floats(scores.Means) : null,
        Variances = distributions ? Floats(scores.Variances) : null,
    };

    public TokenScores Scores() => new(Doubles(LogProbabilities), Hits ?? []) { Means = Doubles(Means), Variances = Doubles(Variances) };

    private static float[] Floats(double[] values) => [.. values.Select(value => (float)value)]; // they were float32

    private static double[] Doubles(float[]? values) => [.. (values ?? []).Select(value => (double)value)];
}
