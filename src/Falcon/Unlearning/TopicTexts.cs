using Falcon.Configuration;
using Falcon.Data;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Unlearning;

/// <summary>The tokenised texts of one forget domain and the retain set that goes with it.</summary>
/// <param name="Forget">Token ids, one array a text, cut at the longest allowed length.</param>
/// <param name="Retain">The same for the retain set.</param>
public sealed record TopicTexts(IReadOnlyList<int[]> Forget, IReadOnlyList<int[]> Retain)
{
    /// <summary>Reads and tokenises the files of a run, one topic for each forget file.</summary>
    /// <exception cref="UserInputException">A file is missing, damaged or holds no usable text.</exception>
    public static IReadOnlyList<TopicTexts> Read(DataConfig data, HfTokenizer tokenizer)
    {
        data.Template.Validate();
        var retain = data.Retain.Select(path => Tokenise(path, data, tokenizer)).ToList();
        return [.. data.Forget.Select((path, i) => new TopicTexts(Tokenise(path, data, tokenizer), retain[retain.Count == 1 ? 0 : i]))];
    }

    private static List<int[]> Tokenise(string path, DataConfig data, HfTokenizer tokenizer)
    {
        List<int[]> texts = [];
        foreach (var record in Corpus.Read(path, data.Fields))
        {
            var ids = tokenizer.Encode(data.Template.Whole(record));
            if (data.Template.EndOfText && record.Question is not null && tokenizer.EosId is { } end) ids = [.. ids, end];
            if (ids.Length > data.MaxLength) ids = ids[..data.MaxLength];
            if (ids.Length > 0) texts.Add(ids);
        }

        return texts.Count > 0 ? texts : throw new UserInputException($"{path}: no record holds any text.");
    }
}
