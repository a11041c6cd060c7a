using System.Text;
using BenchmarkDotNet.Attributes;
using Falcon.Tokenization;

namespace Falcon.Benchmarks;

/// <summary>
/// Encoding English with each tokenizer of the tests, with one thread, each time with a tokenizer that has seen nothing yet: WikiText-2's
/// test and validation text where ../shared has it, else the demo's (88 kB). Line by line, and its first megabyte as one line. Megabytes a
/// second are the bytes that are printed by the mean.
/// </summary>
public class TokenizerBenchmarks
{
    private const int OneLine = 1_000_000;

    private HfTokenizer _tokenizer = null!;
    private string[] _lines = null!;
    private string _line = null!;

    /// <summary>The tokenizers' directories.</summary>
    public static IEnumerable<string> Names() =>
        [
            .. Directory
                .EnumerateDirectories(Path.Combine(Root(), "tests", "fixtures", "tokenizers", "tiny"))
                .Select(path => Path.GetFileName(path))
                .Order(StringComparer.Ordinal),
            "demo",
        ];

    /// <summary>One of them.</summary>
    [ParamsSource(nameof(Names))]
    public string Name { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        var folder = Path.Combine(Root(), "..", "shared", "data", "wikitext2");
        string[] files = Directory.Exists(folder)
            ? [Path.Combine(folder, "test.txt"), Path.Combine(folder, "valid.txt")]
            : [Path.Combine(Root(), "demo", "data", "text.txt")];
        var text = string.Concat(files.Select(File.ReadAllText));
        _lines = text.Split('\n');
        _line = text.Replace('\n', ' ')[..Math.Min(OneLine, text.Length)];
        Console.WriteLine(
            $"{Name}: {_lines.Sum(Encoding.UTF8.GetByteCount)} bytes in lines, {Encoding.UTF8.GetByteCount(_line)} bytes in one line"
        );
    }

    [IterationSetup]
    public void Load() =>
        _tokenizer = HfTokenizer.Load(
            Name == "demo" ? Path.Combine(Root(), "demo", "model") : Path.Combine(Root(), "tests", "fixtures", "tokenizers", "tiny", Name)
        );

    [Benchmark]
    public long Lines() => _lines.Sum(line => (long)_tokenizer.Encode(line).Length);

    [Benchmark]
    public int OneMegabyteLine() => _tokenizer.Encode(_line).Length;

    private static string Root()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory!.FullName, "Falcon.slnx"))) directory = directory.Parent;
        return directory.FullName;
    }
}
