using System.Globalization;
using System.Text;
using Falcon.Checkpoints;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Runs;

/// <summary>
/// The model card of an unlearned model: README.md in the hub's metadata form (YAML between two lines <c>---</c>), saying what was removed,
/// how, how well, and within which limits. Files are named without their folders.
/// </summary>
internal static class ModelCard
{
    private const string FileName = "README.md";
    private const string Tag = "falcon-unlearning";

    /// <summary>Writes the card; a card that came with the base model is kept beside it as <c>README-before.md</c>.</summary>
    /// <param name="directory">The new model's directory, complete but for the card.</param>
    /// <param name="config">The run's configuration.</param>
    /// <param name="record">What the run measured.</param>
    /// <param name="trained">Names of the tensors that were trained.</param>
    /// <param name="original">The directory that the run began with.</param>
    public static void Write(
        string directory,
        UnlearnConfig config,
        RunRecord record,
        IReadOnlyList<string> trained,
        string original
    )
    {
        var origin = ModelOrigin.Of(original);
        var card = Path.Combine(directory, FileName);
        if (File.Exists(card)) File.Move(card, CardFiles.FreeName(directory));
        File.WriteAllText(card, Text(config, record, trained, origin));
    }

    /// <summary>Whether the README.md of a directory is the card of an unlearning run that made its weights.</summary>
    public static bool IsOf(string directory, CancellationToken cancellation)
    {
        var card = Path.Combine(directory, FileName);
        if (!File.Exists(card) || File.ReadAllText(card) is var text && !text.Contains(Tag, StringComparison.Ordinal)) return false;
        return ContentHash
            .OfModel(directory, cancellation)
            .Files.All(file => text.Contains($"this model's {file.Name}: {file.Sha256}", StringComparison.Ordinal));
    }

    internal static string Text(UnlearnConfig config, RunRecord record, IReadOnlyList<string> trained, ModelOrigin origin)
    {
        var name = origin.HubName ?? LastPart(config.Model);
        var text = new StringBuilder("---\n");
        if (origin.HubName is not null)
            text.Append(CultureInfo.InvariantCulture, $"base_model: {origin.HubName}\nbase_model_relation: finetune\n");
        text.Append("library_name: transformers\n");
        foreach (var line in origin.CardLines)
            text.Append(line).Append('\n');
        text.Append(
            CultureInfo.InvariantCulture,
            $"pipeline_tag: text-generation\ntags:\n- unlearning\n- machine-unlearning\n- {Tag}\n- {config.Method}\n---\n\n"
        );
        text.Append(
            CultureInfo.InvariantCulture,
            $"# {name} without {string.Join(", ", config.Data.Forget.Select(path => Path.GetFileNameWithoutExtension(path)))}\n\n"
        );
        text.Append(
            CultureInfo.InvariantCulture,
            $"{name} after machine unlearning: what the forget files hold was to be removed, what the retain files hold was to stay.\n"
        );
        text.Append(
            origin.CardLines.Any(line => line.StartsWith("license", StringComparison.Ordinal))
                ? "The licence is that of the base model.\n"
                : "No licence is stated, because none was found in the base model's card; the base model's licence applies.\n"
        );
        Removed(text, config, record);
        Method(text, config, record, trained);
        Scores(text, record);
        Limits(text);
        Use(text);
        return text.ToString();
    }

    private static void Removed(StringBuilder text, UnlearnConfig config, RunRecord record)
    {
        text.Append("\n## What was removed\n\n| | file | SHA-256 |\n| --- | --- | --- |\n");
        foreach (
            var (kind, path) in config
                .Data.Forget.Select(path => ("forget", path))
                .Concat(config.Data.Retain.Distinct().Select(path => ("retain", path)))
        )
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {kind} | {LastPart(path)} | {record.Files.FirstOrDefault(file => file.Name == path)?.Sha256} |\n"
            );
    }

    private static void Method(StringBuilder text, UnlearnConfig config, RunRecord record, IReadOnlyList<string> trained)
    {
        text.Append(
            CultureInfo.InvariantCulture,
            $"\n## How\n\n* Method: {record.Method}{(record.Layer is { } layer ? $", at layer {layer} (counted from 0)" : "")}, "
                + $"{config.Steps} steps, learning rate {config.Optimizer.LearningRate}, seed {config.Seed}.\n"
        );
        text.Append(
            CultureInfo.InvariantCulture,
            $"* Trained: {trained.Count} tensors: {string.Join("; ", Matrices(trained))}. Every other tensor is that of the base model, "
                + $"bit for bit.\n"
        );
        foreach (
            var file in record.Files.Where(file =>
                file.Name.StartsWith("source/", StringComparison.Ordinal)
                || file.Name.StartsWith("before/", StringComparison.Ordinal)
                || file.Name.StartsWith("model/", StringComparison.Ordinal)
            )
        )
            text.Append(
                CultureInfo.InvariantCulture,
                $"* SHA-256 of {WhoseFile(file.Name)} {LastPart(file.Name)}: {file.Sha256}\n"
            );
        text.Append(
            CultureInfo.InvariantCulture,
            $"* Made with [Falcon](https://arxiv.org/abs/2502.01472) {typeof(ModelCard).Assembly.GetName().Version?.ToString(3)}; all "
                + $"settings, files without folders:\n\n"
        );
        text.Append("<details><summary>settings</summary>\n\n```json\n")
            .Append(ConfigFile.Write(WithoutFolders(config)))
            .Append("```\n\n</details>\n");
    }

    private static string WhoseFile(string name) =>
        name[0] switch
        {
            's' => "what the base model was made from,",
            'b' => "the base model's",
            _ => "this model's",
        };

    // model.layers.3.mlp.down_proj.weight and the like, by component with their layers.
    private static IEnumerable<string> Matrices(IReadOnlyList<string> trained) =>
        trained
            .Select(name =>
                (
                    Layer: name.Split('.')
                        .FirstOrDefault(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out _)),
                    Name: name
                )
            )
            .GroupBy(item =>
                item.Layer is null
                    ? item.Name
                    : item.Name[(item.Name.IndexOf($".{item.Layer}.", StringComparison.Ordinal) + item.Layer.Length + 2)..]
            )
            .Select(group =>
                group.First().Layer is null ? group.Key : $"{group.Key} of layers {string.Join(", ", group.Select(item => item.Layer))}"
            );

    private static void Scores(StringBuilder text, RunRecord record)
    {
        text.Append("\n## How well\n\n");
        if (record.Scores.Count == 0)
        {
            text.Append("The run measured nothing; `falcon evaluate` measures the model.\n");
            return;
        }

        text.Append(
            "With 95 % intervals where sampling is involved. \"Never taught\" is a model that never saw the forget set, where one was "
                + "given.\n\n| | measured | before | after | never taught |\n| --- | --- | ---: | ---: | ---: |\n"
        );
        foreach (var row in record.Scores)
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {(row.Group switch { ScoreGroup.Forget => "to forget", ScoreGroup.Retain => "to keep", _ => "general" })} | "
                    + $"{row.Name} | {Number(row.Before, row.Unit)} | {Number(row.After, row.Unit)} | "
                    + $"{(row.Control is null ? "" : Number(row.Control, row.Unit))} |\n"
            );
        if (record.Monitor is { } monitor)
            text.Append(
                CultureInfo.InvariantCulture,
                $"\nThe parameters of step {monitor.Kept.Step} of {monitor.Steps} were kept: {monitor.Reason}.\n"
            );
    }

    private static void Limits(StringBuilder text) =>
        text.Append(
            "\n## Limits\n\n"
                + "* The numbers say what was measured on these files, no more. Other wordings, other languages and indirect questions may "
                + "still bring removed knowledge up.\n"
                + "* Unlearning changes what a model says; it does not prove that nothing is left in the weights. Fine-tuning, "
                + "quantisation, jailbreak prompts and access to activations can recover some of it. Unless a table of recovery attacks "
                + "stands beside this card, that was not tested.\n"
                + "* It is no means of meeting legal duties of erasure by itself.\n"
        );

    private static void Use(StringBuilder text) => text.Append("""

        ## Use

        ```python
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained("path/to/this/directory")
        tokenizer = AutoTokenizer.from_pretrained("path/to/this/directory")
        ```

        ```sh
        vllm serve path/to/this/directory
        ```

        """);

    private static string Number(MetricValue metric, string unit)
    {
        string One(double value) =>
            unit == "percent"
                ? (value * 100).ToString("0.0", CultureInfo.InvariantCulture)
                : value.ToString("G4", CultureInfo.InvariantCulture);
        var interval = metric is { Low: { } low, High: { } high } ? $" ({One(low)} to {One(high)})" : "";
        return $"{One(metric.Value)}{(unit == "percent" ? " %" : "")}{interval}";
    }

    private static UnlearnConfig WithoutFolders(UnlearnConfig config) =>
        config with
        {
            Model = LastPart(config.Model),
            Adapter = config.Adapter is { } adapter ? LastPart(adapter) : null,
            Data = config.Data with
            {
                Forget = [.. config.Data.Forget.Select(LastPart)],
                Retain = [.. config.Data.Retain.Select(LastPart)],
            },
            Evaluation = config.Evaluation with
            {
                Control = config.Evaluation.Control is { } control ? LastPart(control) : null,
                Probes = [.. config.Evaluation.Probes.Select(probe => probe with { Data = LastPart(probe.Data) })],
            },
            Monitor = config.Monitor with
            {
                Forget = [.. config.Monitor.Forget.Select(LastPart)],
                Utility = [.. config.Monitor.Utility.Select(LastPart)],
                Reference = config.Monitor.Reference is { } reference ? LastPart(reference) : null,
            },
        };

    private static string LastPart(string path) => Path.GetFileName(Path.TrimEndingDirectorySeparator(path));
}
