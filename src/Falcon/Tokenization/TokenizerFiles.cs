using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Tokenization;

/// <summary>
/// The tokenizer files of a model directory, with the special tokens and the chat template that the side files name.
/// </summary>
internal sealed class TokenizerFiles
{
    private const string Json = "tokenizer.json";
    private const string SentencePieceFile = "tokenizer.model";

    private readonly string _directory;
    private readonly TokenizerSection _configuration;
    private readonly TokenizerSection _specialTokensMap;
    private readonly SentencePieceModel? _sentencePiece;

    public TokenizerFiles(string modelDirectory)
    {
        _directory = Path.GetFullPath(modelDirectory);
        if (!Directory.Exists(_directory))
            throw new UserInputException($"{_directory}: there is no such directory; give the folder of a Hugging Face checkpoint.");
        _configuration = Read("tokenizer_config.json");
        _specialTokensMap = Read("special_tokens_map.json");
        if (File.Exists(PathOf(Json)))
        {
            Tokenizer = Read(Json);
            return;
        }

        if (!File.Exists(PathOf(SentencePieceFile)))
            throw new UserInputException(
                $"{_directory}: there is no tokenizer.json and no tokenizer.model. "
                    + "Copy the tokenizer files of the model into this directory."
            );
        _sentencePiece = SentencePieceModel.Read(PathOf(SentencePieceFile));
        Tokenizer = new(SentencePieceConversion.ToTokenizerJson(_sentencePiece, _configuration), PathOf(SentencePieceFile), "");
    }

    /// <summary>Whether a model directory holds a tokenizer: tokenizer.json or tokenizer.model.</summary>
    public static bool AreIn(string modelDirectory) =>
        File.Exists(Path.Combine(modelDirectory, Json)) || File.Exists(Path.Combine(modelDirectory, SentencePieceFile));

    /// <summary>The content of tokenizer.json, or the equivalent of tokenizer.model.</summary>
    public TokenizerSection Tokenizer { get; }

    /// <summary>
    /// The content of a named special token such as bos_token, from tokenizer_config.json, or else special_tokens_map.json, or else the
    /// usual piece of tokenizer.model; null for none.
    /// </summary>
    public string? SpecialToken(string name) =>
        TokenContent(_configuration[name])
        ?? TokenContent(_specialTokensMap[name])
        ?? (_sentencePiece is null ? null : SentencePieceConversion.UsualToken(_sentencePiece, name));

    /// <summary>
    /// The content of chat_template.jinja, or else the chat_template of tokenizer_config.json (if there are several, the one named
    /// default).
    /// </summary>
    public string? ChatTemplate()
    {
        var file = PathOf("chat_template.jinja");
        if (File.Exists(file)) return File.ReadAllText(file);
        var template = _configuration["chat_template"];
        if (template.Json.ValueKind != JsonValueKind.Array) return template.TextOrNull();
        foreach (var named in template.Items())
            if (named["name"].TextOrNull() == "default") return named["template"].Text();
        return null;
    }

    private static string? TokenContent(TokenizerSection section) =>
        section.IsNull ? null : section.Json.ValueKind == JsonValueKind.Object ? section["content"].TextOrNull() : section.Text();

    private TokenizerSection Read(string name)
    {
        var file = PathOf(name);
        if (!File.Exists(file)) return new(default, file, "");
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

    private string PathOf(string name) => Path.Combine(_directory, name);
}
