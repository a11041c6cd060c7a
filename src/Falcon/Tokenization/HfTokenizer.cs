using System.Globalization;
using Falcon.ChatTemplates;
using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Tokenization;

/// <summary>
/// The tokenizer of a Hugging Face model directory, read from <c>tokenizer.json</c> or, if that is missing, from <c>tokenizer.model</c>
/// (SentencePiece). It is byte-level or byte-fallback BPE with exactly the ids and texts of the Hugging Face library.
/// </summary>
/// <remarks>
/// Encoding and decoding may be called from several threads at once. Truncation and padding settings in the file are not applied.
/// </remarks>
public sealed class HfTokenizer
{
    // A token has about four characters of text; the margin is more than one word ever takes.
    private const long StartCharacters = 16;
    private const int StartMargin = 256;

    private readonly Func<string, string> _normalize;
    private readonly PreTokenizer _preTokenize;
    private readonly BytePairEncoding _model;
    private readonly PostProcessor _postProcessor;
    private readonly Func<List<string>, string> _decode;
    private readonly AddedTokenSearch _rawSearch;
    private readonly AddedTokenSearch _normalizedSearch;
    private readonly Dictionary<int, AddedToken> _addedById = [];
    private readonly Dictionary<string, int> _addedByContent = [];
    private readonly HashSet<string> _specialContents;
    private readonly Dictionary<string, object?> _chatTokens = [];
    private readonly Lazy<ChatTemplate> _chatTemplate;
    private readonly Lazy<TurnEnding?> _turnEnding;

    private HfTokenizer(TokenizerFiles files)
    {
        var file = files.Tokenizer;
        _normalize = Normalizers.Read(file["normalizer"]);
        _preTokenize = PreTokenizers.Read(file["pre_tokenizer"]);
        _model = new BytePairEncoding(file["model"]);
        _postProcessor = PostProcessor.Read(file["post_processor"]);
        _decode = Decoders.Read(file["decoder"]);

        List<string> notes = [];
        var added = AddedToken.ReadAll(file["added_tokens"], _model, SpecialTokens.InSideFiles(files), notes);
        foreach (var token in added) (_addedById[token.Id], _addedByContent[token.Content]) = (token, token.Id);
        _specialContents = [.. added.Where(token => token.Special).Select(token => token.Content)];
        _rawSearch = new(added.Where(token => !token.Normalized), content => content);
        _normalizedSearch = new(added.Where(token => token.Normalized), _normalize);
        VocabularySize = Math.Max(_model.HighestId, _addedById.Keys.DefaultIfEmpty(-1).Max()) + 1;

        var special = new SpecialTokens(files, TokenOf, _specialContents.Contains, notes);
        BosToken = special.Find("bos_token");
        EosToken = special.Find("eos_token");
        BosId = IdOf(BosToken);
        EosId = IdOf(EosToken);
        PadId = IdOf(special.Find("pad_token")) ?? EosId;
        foreach (var name in new[] { "bos_token", "eos_token", "pad_token", "unk_token" })
            if (special.Find(name) is { } content)
                _chatTokens[name] = content;
        var (template, unused) = ChatTemplateFiles.Read(files);
        ChatTemplate = template;
        if (unused is not null) notes.Add(unused);
        Notes = notes;
        _turnEnding = new(() => TurnEnding.Of(this));
        _chatTemplate = new(() =>
            ChatTemplates.ChatTemplate.Parse(
                ChatTemplate
                    ?? throw new UserInputException(
                        unused is null
                            ? $"{file.File}: the tokenizer has no chat template. Add a chat_template.jinja beside it, or use plain prompts."
                            : unused + ", or use plain prompts."
                    )
            )
        );
    }

    /// <summary>Whether the chat template asks for the date, so that the same conversation is rendered otherwise on another day.</summary>
    internal bool ChatPrintsDate => ChatTemplate?.Contains("strftime_now", StringComparison.Ordinal) == true;

    /// <summary>What the chat template writes after an answer; null without a template that can be rendered.</summary>
    internal TurnEnding? TurnEnding => _turnEnding.Value;

    /// <summary>
    /// The token that ends an answer in the model's chat template, which may be another one than <see cref="EosId"/>; null for none.
    /// </summary>
    public int? TurnEndId => TurnEnding?.TokenId;

    /// <summary>
    /// The tokens that end what a model writes: those that its configuration names, <see cref="EosId"/> and <see cref="TurnEndId"/>.
    /// </summary>
    /// <param name="configured">End tokens of config.json and generation_config.json.</param>
    public HashSet<int> StopIds(IEnumerable<int> configured) => [.. configured, .. new[] { EosId, TurnEndId }.OfType<int>()];

    /// <summary>Number of ids: the highest id of the vocabulary and the added tokens, plus one.</summary>
    public int VocabularySize { get; }

    /// <summary>
    /// The beginning-of-text token, as <c>tokenizer_config.json</c>, <c>special_tokens_map.json</c>, <c>config.json</c> or
    /// <c>generation_config.json</c> names it, the first that does; null for none.
    /// </summary>
    public int? BosId { get; }

    /// <summary>The end-of-text token, found like <see cref="BosId"/>; null for none.</summary>
    public int? EosId { get; }

    /// <summary>
    /// What a reader should know about how the files were understood, one sentence each: ids that differ from those in the file, special
    /// tokens that were found elsewhere or not at all, chat templates that are not used. Empty for most tokenizers.
    /// </summary>
    public IReadOnlyList<string> Notes { get; }

    /// <summary>The padding token, found like <see cref="BosId"/>; <see cref="EosId"/> if none is named.</summary>
    public int? PadId { get; }

    /// <summary>The content of the token <see cref="BosId"/>, such as <c>&lt;s&gt;</c>; null for none.</summary>
    public string? BosToken { get; }

    /// <summary>The content of the token <see cref="EosId"/>, such as <c>&lt;/s&gt;</c>; null for none.</summary>
    public string? EosToken { get; }

    /// <summary>
    /// The chat template (Jinja), from <c>chat_template.jinja</c> or else <c>tokenizer_config.json</c> (of several, the one named
    /// default); null for none. <see cref="Notes"/> says which others lie there.
    /// </summary>
    public string? ChatTemplate { get; }

    /// <summary>Reads the tokenizer of a model directory.</summary>
    /// <param name="modelDirectory">The directory with <c>tokenizer.json</c> and, as a rule, <c>tokenizer_config.json</c>.</param>
    /// <exception cref="UserInputException">There is no such directory, or neither tokenizer.json nor tokenizer.model in it.</exception>
    /// <exception cref="UnsupportedCheckpointException">
    /// A file is damaged, or a part of the tokenizer is of a type that is not supported; the message names it.
    /// </exception>
    public static HfTokenizer Load(string modelDirectory)
    {
        try
        {
            return new(new TokenizerFiles(modelDirectory));
        }
        catch (InvalidOperationException error) // of the JSON reader, for bytes or escapes that are no text
        {
            throw new UnsupportedCheckpointException(
                $"{modelDirectory}: a text in the tokenizer's files is not valid Unicode ({error.Message}) Copy the files again.",
                error
            );
        }
    }

    /// <summary>The ids of a text.</summary>
    /// <param name="text">Any text; a lone surrogate counts as U+FFFD.</param>
    /// <param name="addSpecialTokens">
    /// Whether to add the ids that the tokenizer puts around a text, such as the beginning-of-text token. Special tokens written in the
    /// text are recognised either way.
    /// </param>
    public int[] Encode(string text, bool addSpecialTokens = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ids = new List<int>(text.Length / 3 + 8);
        if (addSpecialTokens) ids.AddRange(_postProcessor.Before);
        EncodeText(UnicodeNormalization.WellFormed(text), ids);
        if (addSpecialTokens) ids.AddRange(_postProcessor.After);
        return [.. ids];
    }

    /// <summary>
    /// The first ids of a text, those that <see cref="Encode"/> gives. Of a long text only as much is read as they need, so the beginning
    /// of a text of any length costs no more than a short text.
    /// </summary>
    /// <param name="text">Any text.</param>
    /// <param name="count">The most ids to return.</param>
    /// <param name="addSpecialTokens">As in <see cref="Encode"/>; the ids after a text are added only where all of it is returned.</param>
    public int[] EncodeStart(string text, int count, bool addSpecialTokens = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        for (var length = StartCharacters * (count + StartMargin); length < text.Length; length *= 2)
        {
            if (char.IsHighSurrogate(text[(int)length - 1])) length++;
            // The end of the part may be cut into other tokens than in the whole text, so it must lie well behind the last one wanted.
            var ids = Encode(text[..(int)length], addSpecialTokens);
            if (ids.Length >= count + StartMargin) return ids[..count];
        }

        var all = Encode(text, addSpecialTokens);
        return all.Length > count ? all[..count] : all;
    }

    /// <summary>The text of ids. Ids outside the vocabulary are left out; bytes that are not UTF-8 become U+FFFD.</summary>
    /// <param name="ids">The ids.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out.</param>
    public string Decode(IReadOnlyList<int> ids, bool skipSpecialTokens = false)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var tokens = new List<string>(ids.Count);
        foreach (var id in ids)
        {
            var token = TokenOf(id);
            if (token is not null && !(skipSpecialTokens && _specialContents.Contains(token))) tokens.Add(token);
        }
        return _decode(tokens);
    }

    /// <summary>
    /// The id of the token with exactly this content, spelled as in the vocabulary (<c>Ġthe</c> for a byte-level " the"); null for none.
    /// </summary>
    public int? TokenId(string content) => _addedByContent.TryGetValue(content, out var id) ? id : _model.IdOf(content);

    /// <summary>The tokens that are searched for in a text before any other step.</summary>
    internal IReadOnlyCollection<AddedToken> AddedTokens => _addedById.Values;

    /// <summary>Whether <see cref="Decode"/> leaves this id out when it skips special tokens.</summary>
    public bool IsSpecial(int id) =>
        _addedById.TryGetValue(id, out var token) ? token.Special : _model.TokenOf(id) is { } content && _specialContents.Contains(content);

    /// <summary>
    /// Describes the first id that means different tokens in two tokenizers, such as <c>token 17 is "a" in one and "b" in the other</c>;
    /// null when all ids that both know agree, as is required of two models whose outputs are compared.
    /// </summary>
    /// <param name="other">The other tokenizer.</param>
    public string? DifferenceFrom(HfTokenizer other)
    {
        ArgumentNullException.ThrowIfNull(other);
        foreach (var id in Enumerable.Range(0, Math.Min(VocabularySize, other.VocabularySize)))
            if (TokenOf(id) is { } mine && other.TokenOf(id) is { } theirs && mine != theirs)
                return string.Create(CultureInfo.InvariantCulture, $"token {id} is \"{mine}\" in one and \"{theirs}\" in the other");
        return null;
    }

    /// <summary>The content of a token as the vocabulary spells it; null for an id that has none.</summary>
    internal string? TokenOf(int id) => _addedById.TryGetValue(id, out var added) ? added.Content : _model.TokenOf(id);

    /// <summary>
    /// Renders a conversation with the model's chat template. Encode the result without adding special tokens: the template writes them.
    /// </summary>
    /// <param name="messages">The conversation.</param>
    /// <param name="addGenerationPrompt">Whether the prompt ends where the assistant's next answer begins.</param>
    /// <param name="variables">
    /// More variables of the template, such as <c>tools</c> or <c>enable_thinking</c>; they override those of this method.
    /// </param>
    /// <param name="now">The time for templates that print it; null for the current local time.</param>
    /// <exception cref="UserInputException">The model has no chat template.</exception>
    /// <exception cref="ChatTemplateException">The template refused the conversation.</exception>
    /// <exception cref="UnsupportedCheckpointException">
    /// The template uses something that is not supported; the message names the line.
    /// </exception>
    public string RenderChat(
        IEnumerable<ChatMessage> messages,
        bool addGenerationPrompt,
        IReadOnlyDictionary<string, object?>? variables = null,
        DateTimeOffset? now = null
    )
    {
        ArgumentNullException.ThrowIfNull(messages);
        var all = new Dictionary<string, object?>(_chatTokens)
        {
            ["messages"] = messages
                .Select(message => new Dictionary<string, object?> { ["role"] = message.Role, ["content"] = message.Content })
                .ToList(),
            ["add_generation_prompt"] = addGenerationPrompt,
        };
        foreach (var (name, value) in variables ?? new Dictionary<string, object?>()) all[name] = value;
        return _chatTemplate.Value.Render(all, now);
    }

    private void EncodeText(string text, List<int> ids)
    {
        var words = new List<Piece>();
        foreach (var (start, end, rawToken) in _rawSearch.Find(text))
        {
            if (rawToken is not null)
            {
                ids.Add(rawToken.Id);
                continue;
            }
            var normalized = _normalize(text[start..end]);
            foreach (var (innerStart, innerEnd, token) in _normalizedSearch.Find(normalized))
            {
                if (token is not null)
                {
                    ids.Add(token.Id);
                    continue;
                }
                words.Clear();
                _preTokenize(new(normalized[innerStart..innerEnd], start == 0 && innerStart == 0), words);
                foreach (var word in words) _model.Encode(word.Text, ids);
            }
        }
    }

    private int? IdOf(string? token) => token is null ? null : TokenId(token);
}
