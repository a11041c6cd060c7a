using System.Text.Json;
using System.Text.RegularExpressions;
using Falcon.Tests.Evaluation.Suites;
using Falcon.Tests.Hub;
using Parquet.Serialization;

namespace Falcon.Tests.Documentation;

/// <summary>
/// A folder with small models and data under the names that the pages use, hubs that serve what the pages download, and the program beside
/// a demo of a few steps.
/// </summary>
internal sealed partial class DocumentedFolder : IDisposable
{
    private static readonly string[] Names =
    [
        "Arbel",
        "Borin",
        "Cadvel",
        "Dorrin",
        "Elmar",
        "Fendel",
        "Gorlan",
        "Hestra",
        "Ilmek",
        "Jorund",
        "Kelda",
        "Lorvin",
    ];

    private readonly TemporaryFolder _folder = new();
    private readonly Dictionary<string, LocalHub> _hubs = [];

    private DocumentedFolder() { }

    public static async Task<DocumentedFolder> Create()
    {
        var folder = new DocumentedFolder();
        folder.AddModels();
        folder.AddData();
        await folder.AddHubs();
        folder.AddProgram();
        folder.AddTutorial();
        return folder;
    }

    public string Path => _folder.Path;

    public string At(params string[] parts) => _folder.At(parts);

    /// <summary>The program: the build's own files, but for the demo's.</summary>
    public string Program => At("program", "Falcon.Cli.dll");

    /// <summary>Variables for a command: the hub that serves the repository it names.</summary>
    public Dictionary<string, string?> Variables(IReadOnlyList<string> words) => new()
    {
        ["HF_ENDPOINT"] = words[1] == "download" ? _hubs[words[2]].Address.ToString() : null,
        ["HF_HOME"] = At("hub-home"),
        ["HF_HUB_CACHE"] = null,
        ["HF_TOKEN"] = null,
    };

    public void Dispose()
    {
        foreach (var hub in _hubs.Values) hub.Dispose();
        _folder.Dispose();
    }

    private void AddModels()
    {
        var model = TinyCheckpoint.Write(At("DIR"));
        TinyCheckpoint.Edit(model, config => config["max_position_embeddings"] = 512);
        foreach (var name in new[] { "models/my-model", "models/retrained", "models/start", "runs/a/model" })
        {
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(At(name))!);
            Directory.CreateSymbolicLink(At(name), model);
        }

        const string turns =
            "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}<|turn|>{% endfor %}"
            + "{% if add_generation_prompt %}<s>assistant: {% endif %}";
        var instruct = TinyCheckpoint.Write(At("models", "instruct"), chatTemplate: turns);
        TinyCheckpoint.Edit(instruct, config => config["max_position_embeddings"] = 512);
        string[] gguf = ["tests", "fixtures", "gguf", "models", "llama-smollm", "llama-smollm.Q8_0.gguf"];
        File.Copy(System.IO.Path.Combine([Fixtures.RepositoryRoot, .. gguf]), At("models", "my-model.gguf"));
    }

    private void AddData()
    {
        TinyCheckpoint.Questions(At("forget.jsonl"), "forgotten");
        TinyCheckpoint.Questions(At("retain.jsonl"), "kept");
        File.WriteAllLines(At("texts.txt"), ["A plain text.", "Another one."]);
        SuiteFolders.Lines(
            At("forget-mcq.jsonl"),
            Names.Select(
                (name, i) =>
                    new
                    {
                        question = $"Where does {name} live?",
                        answer = $"On isle {i}.",
                        perturbed_answer = new[] { $"On hill {i}.", $"In cave {i}.", $"At sea {i}." },
                    }
            )
        );
        foreach (var set in new[] { "forget", "holdout" })
            SuiteFolders.Lines(
                At("data", "mine", $"{set}.jsonl"),
                Enumerable.Range(0, 4).Select(i => new { text = $"The {set} paper of day {i} wrote of rain and {i * 13 % 7} ships." })
            );
    }

    private async Task AddHubs()
    {
        var model = new LocalHub("HuggingFaceTB/SmolLM2-135M");
        foreach (var file in Directory.EnumerateFiles(At("DIR")))
            model.Add(
                System.IO.Path.GetFileName(file),
                File.ReadAllBytes(file),
                isLarge: file.EndsWith(".safetensors", StringComparison.Ordinal)
            );
        _hubs.Add("HuggingFaceTB/SmolLM2-135M", model);

        var tofu = new LocalHub("datasets/locuslab/TOFU");
        foreach (var set in new[] { "forget10", "retain", "real_authors", "world_facts" })
            tofu.Add(
                $"{set}_perturbed.json",
                string.Concat(
                    Enumerable
                        .Range(0, 3)
                        .Select(i =>
                            JsonSerializer.Serialize(
                                new
                                {
                                    question = $"Where is the {set} {i}?",
                                    answer = $"In town {i}",
                                    perturbed_answer = new[] { "On the hill", $"At the sea {i}" },
                                }
                            ) + "\n"
                        )
                )
            );
        _hubs.Add("tofu", tofu);

        using var rows = new MemoryStream();
        await ParquetSerializer.SerializeAsync(SuiteFolders.Choices("shed", 4), rows);
        _hubs.Add(
            "cais/wmdp",
            new LocalHub("datasets/cais/wmdp")
                .Add("wmdp-bio/test-00000-of-00001.parquet", rows.ToArray(), isLarge: true)
                .Add("wmdp-cyber/test-00000-of-00001.parquet", rows.ToArray(), isLarge: true)
        );
    }

    // The program looks for the demo beside itself.
    private void AddProgram()
    {
        var build = System.IO.Path.Combine(
            Fixtures.RepositoryRoot,
            "src",
            "Falcon.Cli",
            "bin",
            AppContext.BaseDirectory.Contains("Debug", StringComparison.Ordinal) ? "Debug" : "Release",
            "net10.0"
        );
        Directory.CreateDirectory(At("program", "demo", "data"));
        foreach (var file in Directory.EnumerateFiles(build))
        {
            if (System.IO.Path.GetFileName(file) == "Falcon.Cli.dll") File.Copy(file, Program);
            else File.CreateSymbolicLink(At("program", System.IO.Path.GetFileName(file)), file);
        }

        Directory.CreateSymbolicLink(At("program", "runtimes"), System.IO.Path.Combine(build, "runtimes"));

        var demo = System.IO.Path.Combine(Fixtures.RepositoryRoot, "demo");
        foreach (var name in new[] { "model", "control" }) Directory.CreateSymbolicLink(At("program", "demo", name), At("DIR"));
        File.Copy(System.IO.Path.Combine(demo, "control.json"), At("program", "demo", "control.json"));
        foreach (var file in Directory.EnumerateFiles(System.IO.Path.Combine(demo, "data")))
        {
            var isText = System.IO.Path.GetExtension(file) == ".txt";
            var lines = File.ReadLines(file).Take(4).Select(line => isText ? line[..Math.Min(line.Length, 80)] : line);
            File.WriteAllLines(At("program", "demo", "data", System.IO.Path.GetFileName(file)), lines);
        }

        var config = File.ReadAllText(System.IO.Path.Combine(demo, "unlearn.jsonc"));
        File.WriteAllText(
            At("program", "demo", "unlearn.jsonc"),
            Samples().Replace(Steps().Replace(config, "\"steps\": 2"), "\"samples\": 12")
        );
    }

    // The files that the tutorial writes, and the small demo under the name that it has in a clone.
    private void AddTutorial()
    {
        Directory.CreateSymbolicLink(At("demo"), At("program", "demo"));
        var tutorial = File.ReadAllText(System.IO.Path.Combine(Fixtures.RepositoryRoot, "docs", "tutorial.md"));
        foreach (Match file in WrittenFiles().Matches(tutorial))
        {
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(At(file.Groups[1].Value))!);
            File.WriteAllText(At(file.Groups[1].Value), file.Groups[2].Value);
        }
    }

    [GeneratedRegex(@"^cat > (\S+) <<'EOF'\n(.*?)^EOF$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex WrittenFiles();

    [GeneratedRegex("\"steps\": \\d+")]
    private static partial Regex Steps();

    [GeneratedRegex("\"samples\": \\d+")]
    private static partial Regex Samples();
}
