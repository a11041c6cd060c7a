using System.Globalization;
using Falcon.Data;
using Falcon.Models.Families;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Runs.Evaluating;

/// <summary>
/// The texts of a file as token ids, read again on every pass, so that no more than one text is in memory. Texts are tokenised as the model
/// reads them, with the special tokens that its tokenizer puts around a text; rows of <c>input_ids</c> are used as they stand.
/// </summary>
/// <param name="settings">Model directory and file.</param>
/// <param name="model">The architecture.</param>
internal sealed class TokenisedTexts(LogprobsSettings settings, ModelConfig model)
{
    private HfTokenizer? _tokenizer;

    /// <summary>The token ids of each text, in the order of the file.</summary>
    /// <exception cref="UserInputException">
    /// The file or a row cannot be used: it is a question or a conversation, has no token, one that the model does not know, or more than
    /// it can take.
    /// </exception>
    public IEnumerable<int[]> Read()
    {
        foreach (var record in Corpus.StreamWithTokenIds(settings.Data, settings.Fields))
        {
            var ids = record.TokenIds.Count > 0 ? [.. record.TokenIds] : Encode(record);
            record.RequireKnown(settings.Data, model.VocabularySize);
            if (ids.Length == 0) throw Fault(record, "the text has no token; remove it.");
            if (ids.FirstOrDefault(id => id >= model.VocabularySize) is > 0 and var unknown)
                throw new UserInputException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{settings.Model}: the tokenizer gives id {unknown}, but vocab_size in config.json is {model.VocabularySize}. "
                    )
                        + "Use the tokenizer files of the same model."
                );
            if (model.Architecture.PositionEmbedding is not null && ids.Length > model.MaxPositions)
                throw Fault(
                    record,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{ids.Length} tokens are more than the {model.MaxPositions} positions of the model; shorten the text."
                    )
                );
            yield return ids;
        }
    }

    private int[] Encode(CorpusRecord record)
    {
        if (record.Text is not { } text)
            throw Fault(
                record,
                "it is a question or a conversation, of which there are several forms; give the text as the model shall read it "
                    + "({\"text\": ...}), or its token ids ({\"input_ids\": [...]})."
            );
        return (_tokenizer ??= HfTokenizer.Load(settings.Model)).Encode(text);
    }

    private UserInputException Fault(CorpusRecord record, string what) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{settings.Data}, line {record.Line}: {what}"));
}
