using System.Globalization;
using System.Text;
using Falcon.Checkpoints;
using Falcon.Runtime;

namespace Falcon.Exchange.Adapters;

/// <summary>The README.md of a merged model: what was merged into what, with hashes. Folders of the machine do not appear in it.</summary>
internal static class MergedCard
{
    private const string FileName = "README.md";

    /// <summary>Writes the card; a card that came with the base model is kept beside it as <c>README-before.md</c>.</summary>
    public static void Write(string directory, Checkpoint model, AdapterMergeRecord record, CancellationToken cancellation)
    {
        var card = Path.Combine(directory, FileName);
        if (File.Exists(card))
            File.Move(card, CardFiles.FreeName(directory));
        var origin = ModelOrigin.Of(model.Directory);
        var text = new StringBuilder("---\n");
        if (origin.HubName is { } hub)
            text.Append(CultureInfo.InvariantCulture, $"base_model: {hub}\nbase_model_relation: merge\n");
        text.Append("library_name: transformers\n");
        foreach (var line in origin.CardLines)
            text.Append(line).Append('\n');
        text.Append("pipeline_tag: text-generation\ntags:\n- merge\n- lora\n---\n\n");
        var name = origin.HubName ?? LastPart(model.Directory);
        text.Append(CultureInfo.InvariantCulture, $"# {name} with the LoRA adapter {LastPart(record.Adapter)} merged\n\n");
        text.Append(
            CultureInfo.InvariantCulture,
            $"{record.Changed.Count} tensors differ from those of the base model; every other one has the same bytes. "
                + $"The sums were made in "
                + $"float32 and rounded to the number type of the file.\n"
        );
        if (record.Untied)
            text.Append("Embedding and output head are no longer tied, since the adapter changes only one of them.\n");
        text.Append("\n| | file | SHA-256 |\n| --- | --- | --- |\n");
        foreach (var file in ContentHash.OfModel(model.Directory, cancellation).Files)
            Row("base", file);
        foreach (var file in record.AdapterFiles)
            Row("adapter", file);
        File.WriteAllText(card, text.ToString());

        void Row(string kind, FileHash file) => text.Append(CultureInfo.InvariantCulture, $"| {kind} | {file.Name} | {file.Sha256} |\n");
    }

    private static string LastPart(string path) => Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));
}
