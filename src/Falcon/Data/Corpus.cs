using Falcon.Data.Columns;
using Falcon.Runtime;
using Falcon.Runtime.Files;

namespace Falcon.Data;

/// <summary>
/// Reads forget, retain and evaluation texts. The extension of a file and its fields determine how it is read; see the remarks.
/// </summary>
/// <remarks>
/// <para>Files: <c>.jsonl</c> (one object a line), <c>.json</c> (an array of objects or of strings, or one object a line), <c>.csv</c> (RFC
/// 4180, comma, header line), <c>.parquet</c> and <c>.txt</c>. Text is UTF-8; a byte order mark and CR LF line ends are accepted; blank
/// lines of a <c>.jsonl</c> file are ignored.</para>
/// <para>A <c>.txt</c> file holds one text a line. If it has blank lines between texts, these separate the texts instead, and the lines of
/// a text are joined by a line feed.</para>
/// <para>Fields of a record, the first that fits: <c>question</c> with choices and <c>answer</c>; <c>question</c> and <c>answer</c>;
/// <c>prompt</c> and <c>completion</c>; <c>messages</c> (objects with <c>role</c> and <c>content</c>); <c>text</c>.
/// Choices are the list <c>choices</c> or <c>options</c>, or the columns <c>choice0..</c> (MMLU), <c>option1..</c> (TOFU) or
/// <c>A, B, ..</c>; the answer is then the index from 0, the letter, or the text of the correct one, and a field <c>letter</c> beside it
/// names the correct one itself. A CSV of six columns whose first line ends in a letter A to D is
/// MMLU's first release, without a header. TOFU's <c>paraphrased_question</c>, <c>paraphrased_answer</c> and <c>perturbed_answer</c> and a
/// <c>subject</c> are read if present.</para>
/// <para>Rows that come tokenised (<c>input_ids</c>, with <c>labels</c> of -100 before what counts) are read where token ids are enough
/// (log-probabilities, perplexity) and refused elsewhere.</para>
/// <para>Nothing is skipped: a record that cannot be used (missing field, wrong type, blank text) is an error that names its line.</para>
/// </remarks>
public static class Corpus
{
    /// <summary>All records of a file, in the order of the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="fields">
    /// The file's own field names, as in <c>question=q,answer=a</c>: on the left the usual name, on the right the file's. These fields must
    /// exist.
    /// </param>
    /// <exception cref="UserInputException">
    /// The file or a record cannot be used; the message names file, line or row, field, and what to do.
    /// </exception>
    public static IReadOnlyList<CorpusRecord> Read(string path, string? fields = null) => [.. Stream(path, fields)];

    /// <summary>
    /// The records one by one, for corpora that should not be in memory as a whole (<c>.jsonl</c>, <c>.txt</c>; <c>.parquet</c> row group
    /// by row group; other files are read whole).
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="fields">As in <see cref="Read"/>.</param>
    /// <exception cref="UserInputException">As in <see cref="Read"/>; thrown when the faulty record is reached.</exception>
    public static IEnumerable<CorpusRecord> Stream(string path, string? fields = null) =>
        Stream(path, new RecordLayout(path, fields), fields);

    /// <summary>As <see cref="Stream(string, string?)"/>, but rows of <c>input_ids</c> are records too.</summary>
    internal static IEnumerable<CorpusRecord> StreamWithTokenIds(string path, string? fields = null) =>
        Stream(path, new RecordLayout(path, fields, tokenIds: true), fields);

    private static IEnumerable<CorpusRecord> Stream(string path, RecordLayout layout, string? fields)
    {
        if (Directory.Exists(path)) throw new UserInputException($"{path}: this is a directory; name one file in it ({Extensions}).");
        if (!File.Exists(path)) throw new UserInputException($"{path}: no such file; check the path, or fetch the data set first.");
        if (new FileInfo(path).Length == 0) throw new UserInputException($"{path}: the file is empty; it needs at least one record.");
        LfsPointer.Refuse(path);
        if (!path.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase)) CompressedFile.Refuse(path);
        var rows = Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".jsonl" => JsonRows.ReadLines(path),
            ".json" => JsonRows.ReadArrayOrLines(path),
            ".csv" => CsvRows.Read(path),
            ".parquet" => ParquetRows.Read(path),
            ".txt" => null,
            var other => throw new UserInputException($"{path}: the extension \"{other}\" is not known; use one of {Extensions}."),
        };
        if (rows is null && fields is not null)
            throw new UserInputException($"{path}: a .txt file has no fields; leave out the field names \"{fields}\".");
        return NotEmpty(path, rows is null ? TextRows.Read(path) : rows.Select(layout.ToRecord));
    }

    private const string Extensions = ".jsonl, .json, .csv, .parquet, .txt";

    private static IEnumerable<CorpusRecord> NotEmpty(string path, IEnumerable<CorpusRecord> records)
    {
        var any = false;
        foreach (var record in records)
        {
            any = true;
            yield return record;
        }
        if (!any)
            throw new UserInputException(
                $"{path}: the file holds no usable record; it needs at least one question with its answer, or one text."
            );
    }
}
