using System.Text.Json;
using Falcon.Runtime;
using Falcon.Runtime.Files;

namespace Falcon.Tokenization;

/// <summary>
/// The tokenizer files of a model directory: the tokenizer itself, and the side files that name special tokens.
/// </summary>
internal sealed class TokenizerFiles
{
    private const string Json = "tokenizer.json";
    private const string SentencePieceFile = "tokenizer.model";

    private readonly TokenizerSection _specialTokensMap;
    private readonly TokenizerSection _modelConfig;
    private readonly TokenizerSection _generationConfig;
    private readonly SentencePieceModel? _sentencePiece;

    public TokenizerFiles(string modelDirectory)
    {
        Directory = Path.GetFullPath(modelDirectory);
        if (!System.IO.Directory.Exists(Directory))
            throw new UserInputException($"{Directory}: there is no such directory; give the folder of a Hugging Face checkpoint.");
        Configuration = Read("tokenizer_config.json");
        _specialTokensMap = Read("special_tokens_map.json");
        _modelConfig = Read("config.json");
        _generationConfig = Read("generation_config.json");
        if (File.Exists(PathOf(Json)))
        {
            Tokenizer = Read(Json);
            return;
        }

        if (!File.Exists(PathOf(SentencePieceFile)))
            throw new UserInputException(
                $"{Directory}: there is no tokenizer.json and no tokenizer.model. "
                    + "Copy the tokenizer files of the model into this directory."
            );
        LfsPointer.Refuse(PathOf(SentencePieceFile));
        _sentencePiece = SentencePieceModel.Read(PathOf(SentencePieceFile));
        Tokenizer = new(SentencePieceConversion.ToTokenizerJson(_sentencePiece, Configuration), PathOf(SentencePieceFile), "");
    }

    /// <summary>Whether a model directory holds a tokenizer: tokenizer.json or tokenizer.model.</summary>
    public static bool AreIn(string modelDirectory) =>
        File.Exists(Path.Combine(modelDirectory, Json)) || File.Exists(Path.Combine(modelDirectory, SentencePieceFile));

    /// <summary>The model directory, as a full path.</summary>
    public string Directory { get; }

    /// <summary>The content of tokenizer_config.json; null where there is none.</summary>
    public TokenizerSection Configuration { get; }

    /// <summary>The content of tokenizer.json, or the equivalent of tokenizer.model.</summary>
    public TokenizerSection Tokenizer { get; }

    /// <summary>
    /// The content of a named special token such as bos_token: from tokenizer_config.json (there by its own key, or inside
    /// <c>extra_special_tokens</c>), or else special_tokens_map.json, or else the usual piece of tokenizer.model; null for none.
    /// </summary>
    public string? SpecialToken(string name) =>
        (SpecialTokenSection(name) is { } section ? TokenContent(section) : null)
        ?? (_sentencePiece is null ? null : SentencePieceConversion.UsualToken(_sentencePiece, name));

    /// <summary>The place in the side files that names a special token; null for none.</summary>
    public TokenizerSection? SpecialTokenSection(string name)
    {
        foreach (var section in NamedLists().Select(list => list[name]).Prepend(_specialTokensMap[name]).Prepend(Configuration[name]))
            if (TokenContent(section) is not null)
                return section;
        return null;
    }

    /// <summary>
    /// Whether the side files say that there is no such token: the key is there with the value null.
    /// </summary>
    public bool SaysNone(string name) =>
        Configuration[name].Json.ValueKind == JsonValueKind.Null || _specialTokensMap[name].Json.ValueKind == JsonValueKind.Null;

    /// <summary>
    /// The id of a special token such as bos_token, as config.json or else generation_config.json gives it (of several, the first); null
    /// for none.
    /// </summary>
    public (int Id, string Place)? SpecialTokenId(string name)
    {
        foreach (var file in new[] { _modelConfig, _modelConfig["text_config"], _generationConfig })
        {
            var value = file[name + "_id"];
            var json = value.Json.ValueKind == JsonValueKind.Array ? value.Json.EnumerateArray().FirstOrDefault() : value.Json;
            if (json.ValueKind == JsonValueKind.Number && json.TryGetInt32(out var id) && id >= 0)
                return (id, $"{value.Key} of {Path.GetFileName(value.File)}");
        }

        return null;
    }

    /// <summary>
    /// Tokens that the side files list as special without saying what for: <c>extra_special_tokens</c> (an object or a list),
    /// <c>additional_special_tokens</c> and <c>model_specific_special_tokens</c>.
    /// </summary>
    public IEnumerable<TokenizerSection> ListedTokens()
    {
        foreach (
            var list in NamedLists()
                .Append(Configuration["additional_special_tokens"])
                .Append(_specialTokensMap["additional_special_tokens"])
        )
        {
            var items = list.Json.ValueKind switch
            {
                JsonValueKind.Array => list.Items(),
                JsonValueKind.Object => list.Members().Select(member => member.Value),
                _ => [],
            };
            foreach (var item in items)
                if (TokenContent(item) is { Length: > 0 })
                    yield return item;
        }
    }

    /// <summary>The text of a token, which is a text or an object with <c>content</c>; null for none.</summary>
    public static string? TokenContent(TokenizerSection section) =>
        section.Json.ValueKind switch
        {
            JsonValueKind.Object => section["content"].TextOrNull(),
            // Some files list further tokens by role, as in {"image_tokens": ["<a>", "<b>"]}; those have no one content.
            JsonValueKind.Array or JsonValueKind.False => null,
            _ => section.TextOrNull(),
        };

    /// <summary>The path of a file in the directory.</summary>
    public string PathOf(string name) => Path.Combine(Directory, name);

    /// <summary>The content of a JSON file in the directory; a section that is null where there is none.</summary>
    public TokenizerSection Read(string name)
    {
        var file = PathOf(name);
        if (!File.Exists(file))
            return new(default, file, "");
        LfsPointer.Refuse(file);
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            return new(document.RootElement.Clone(), file, "");
        }
        catch (JsonException error)
        {
            throw new UnsupportedCheckpointException($"{file}: not valid JSON: {error.Message} Copy the file again.", error);
        }
    }

    private IEnumerable<TokenizerSection> NamedLists()
    {
        foreach (var file in new[] { Configuration, _specialTokensMap })
            foreach (var key in new[] { "extra_special_tokens", "model_specific_special_tokens" })
                yield return file[key];
    }
}
