using System.Globalization;
using System.Text.RegularExpressions;
using Falcon.Data;
using Falcon.Data.Columns;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// Word, byte and token perplexity and bits per byte of plain texts. WikiText files are cut into pages; the raw form (<c>.raw</c>) is
/// detokenised as the lm-evaluation-harness does, the tokenised form with its <c>&lt;unk&gt;</c> is scored as it stands.
/// </summary>
internal sealed partial class PerplexitySuite : EvaluationSuite
{
    private const string SuiteName = "perplexity";
    private const string Needed = "plain text: .txt, records with text or input_ids, or WikiText (wiki.test.raw, test.txt)";
    private static readonly string[] Extensions = [".txt", ".raw", ".tokens", .. RecordExtensions];
    private static readonly string[] WikiTextFiles = ["wiki.test.raw", "wiki.test.tokens", "test.txt"];
    private static readonly string[] WikiTextFolders = ["wikitext-2-raw-v1", "wikitext-103-raw-v1", "wikitext-2-v1", "wikitext-103-v1"];

    private PerplexitySuite(IReadOnlyList<string> files, EvaluationSettings settings) : base(SuiteName, files, settings) { }

    public override bool IsBenchmark => true; // whole texts have no form

    public override string SettingsText => string.Create(CultureInfo.InvariantCulture, $"window {Settings.MaxLength}");

    public static PerplexitySuite Open(EvaluationSettings settings)
    {
        var path = settings.DataOf(SuiteName, Needed);
        // Of a directory with several splits only the test split.
        var test = WikiTextFiles.Select(name => Path.Combine(path, name)).FirstOrDefault(File.Exists);
        if (
            test is null
            && Directory.Exists(path)
            && PublishedFiles.First(path, WikiTextFolders.Select(folder => $"{folder}/test")) is { Count: > 0 } onHub
        )
            return new PerplexitySuite(onHub, settings);
        return new PerplexitySuite(test is null ? FindFiles(path, Extensions, "file with " + Needed) : [test], settings);
    }

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        List<PerplexityText> all = [.. Files.SelectMany(file => Texts(file, loaded.Model.Config.VocabularySize, log))];
        List<int[]> rows = [.. all.Select(text => text.Tokens).OfType<int[]>()];
        if (rows.Count > 0)
        {
            if (rows.Count < all.Count)
                throw new UserInputException(
                    $"{string.Join(", ", Files)}: some rows are texts and some are token ids (input_ids), which have no words to average "
                        + "over. Measure them one by one: name one file with --data."
                );
            log.Information($"{SuiteName}: rows of token ids have neither words nor bytes, so only token_perplexity is measured");
            var perToken = TextPerplexity.MeasureTokens(loaded, rows, Settings.MaxLength, Settings.Questions.Seed, log, cancellation);
            return new SuiteValues(new Dictionary<string, MetricValue> { ["token_perplexity"] = perToken });
        }

        List<(string Scored, string Counted)> texts = [.. all.Select(text => (text.Scored, text.Counted))];
        if (texts.Count == 0)
            throw new UserInputException(
                $"{string.Join(", ", Files)}: no record is a plain text, which the suite {SuiteName} needs. Name other data with --data."
            );
        if (loaded.Tokenizer is { BosId: null, EosId: null })
            throw new UserInputException(
                "the tokenizer names neither bos_token nor eos_token; perplexity needs one to predict the first token from. Add it to "
                    + "tokenizer_config.json."
            );
        var values = TextPerplexity.Measure(loaded, texts, Settings.MaxLength, Settings.Questions.Seed, log, cancellation);
        return new SuiteValues(
            new Dictionary<string, MetricValue>
            {
                ["word_perplexity"] = values.Word,
                ["byte_perplexity"] = values.Byte,
                ["bits_per_byte"] = values.BitsPerByte,
                ["token_perplexity"] = values.Token,
            }
        )
        {
            Notes = [TokenBefore(loaded.Tokenizer)],
        };
    }

    private static string TokenBefore(HfTokenizer tokenizer)
    {
        var (id, token, kind) = tokenizer.BosId is { } begin
            ? (begin, tokenizer.BosToken, "begin")
            : (tokenizer.EosId!.Value, tokenizer.EosToken, "end");
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{SuiteName}: the token before the first of each text is the tokenizer's {kind} token {token} (id {id})"
        );
    }

    /// <summary>A text, or the token ids of a row that comes tokenised.</summary>
    private readonly record struct PerplexityText(string Scored, string Counted, int[]? Tokens = null);

    private static IEnumerable<PerplexityText> Texts(string file, int vocabulary, IRunLog log)
    {
        if (!IsWikiText(file))
            return Corpus
                .StreamWithTokenIds(file)
                .Where(record => record.Text is not null || record.TokenIds.Count > 0)
                .Select(record =>
                    record.Text is { } text
                        ? new PerplexityText(text, text)
                        : new PerplexityText("", "", Row(file, record, vocabulary))
                );
        var isRaw =
            Path.GetExtension(file).Equals(".raw", StringComparison.OrdinalIgnoreCase)
            || FolderOf(file).Contains("-raw-", StringComparison.Ordinal);
        var how = isRaw
            ? "detokenised as the lm-evaluation-harness does"
            : "scored as they stand (tokenised form; not comparable with published numbers of the raw form)";
        log.Information($"{file}: pages of WikiText, {how}");
        return WikiTextDetokenizer
            .Pages(IsParquet(file) ? TextOfRows(file) : File.ReadAllText(file))
            .Select(page => new PerplexityText(isRaw ? WikiTextDetokenizer.Detokenize(page) : page, page))
            .Where(text => text.Scored.Length > 0);
    }

    private static int[] Row(string file, CorpusRecord record, int vocabulary)
    {
        if (record.TokenIds.Count < 2)
            throw new UserInputException(
                $"{file}, line {record.Line}, field \"input_ids\": a single token predicts nothing; remove the row."
            );
        record.RequireKnown(file, vocabulary);
        return [.. record.TokenIds];
    }

    /// <summary>WikiText begins with a title such as <c> = Robert Boulter = </c>.</summary>
    private static bool IsWikiText(string file) => Path.GetExtension(file).ToLowerInvariant() switch
    {
        ".raw" or ".tokens" => true,
        ".parquet" => WikiTextFolders.Contains(FolderOf(file)),
        ".txt" => File.ReadLines(file).FirstOrDefault(line => !string.IsNullOrWhiteSpace(line)) is { } first && Title().IsMatch(first),
        _ => false,
    };

    private static bool IsParquet(string file) => Path.GetExtension(file).Equals(".parquet", StringComparison.OrdinalIgnoreCase);

    private static string FolderOf(string file) => Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(file)))!;

    // The hub has one row for each line, with its line feed. A blank line, which is a space in the file, is an empty row.
    private static string TextOfRows(string file) =>
        string.Concat(
            ParquetRows
                .Read(file)
                .Select(row =>
                    row.Column!("text")?.GetString() is { } line
                        ? line.Length == 0
                            ? " \n"
                            : line
                        : throw new UserInputException($"{file}, {row.Place}: the field \"text\" is missing; download the data set again.")
                )
        );

    [GeneratedRegex("^ = [^=].* = $")]
    private static partial Regex Title();
}
