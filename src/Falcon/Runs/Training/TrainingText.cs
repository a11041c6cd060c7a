using Falcon.Data;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Runs.Training;

/// <summary>One tokenised training text.</summary>
/// <param name="Ids">Token ids; at least two.</param>
/// <param name="PromptLength">
/// Number of prompt tokens, which have a smaller weight in the loss; 1 for plain text, which begins with an end-of-text token.
/// </param>
internal sealed record TrainingText(int[] Ids, int PromptLength)
{
    /// <summary>The records of all files: first questions, then plain texts.</summary>
    /// <exception cref="UserInputException">A file is missing or damaged, or holds a record of the other kind.</exception>
    public static IReadOnlyList<CorpusRecord> Read(TrainDataConfig data)
    {
        List<CorpusRecord> all = [];
        foreach (var (path, asks) in data.Questions.Select(path => (path, true)).Concat(data.Texts.Select(path => (path, false))))
        {
            var records = Corpus.Read(path, asks ? data.Fields : null);
            if (records.FirstOrDefault(record => record.Question is not null != asks) is { } other)
                throw new UserInputException(
                    $"{path}, line {other.Line}: "
                        + (
                            asks
                                ? "a plain text among questions; name the file in data.texts."
                                : "a question among plain texts; name the file in data.questions."
                        )
                );
            all.AddRange(records);
        }

        return all;
    }

    /// <summary>
    /// Tokenises a record: prompt, answer and the form's end token. A plain text is put between two end-of-text tokens, the first of which
    /// predicts its first token.
    /// </summary>
    public static TrainingText Of(CorpusRecord record, PromptEncoder prompts, int maxLength)
    {
        var text = record.Question is null ? Plain(record.Text!, prompts.Tokenizer, maxLength) : prompts.Encode(record);
        return new TrainingText(text.Tokens.Length > maxLength ? text.Tokens[..maxLength] : text.Tokens, text.AnswerStart);
    }

    private static PromptAndAnswer Plain(string text, HfTokenizer tokenizer, int maxLength)
    {
        int[] end = tokenizer.EosId is { } id ? [id] : [];
        return new PromptAndAnswer([.. end, .. tokenizer.EncodeStart(text, maxLength), .. end], 1);
    }
}
