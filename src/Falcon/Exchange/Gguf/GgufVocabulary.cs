using System.Globalization;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// A tokenizer as keys of a GGUF file. What llama.cpp would split or merge otherwise is refused; where it differs in rare texts, a note
/// says so.
/// </summary>
internal sealed class GgufVocabulary
{
    private readonly TokenizerFiles _files;
    private readonly string[] _tokens;
    private readonly SentencePieceType[] _types;
    private readonly List<(string Key, object Value)> _keys = [];
    private readonly List<string> _notes = [];

    /// <summary>Reads the tokenizer of a model and checks it.</summary>
    /// <param name="directory">The model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="rows">Rows of the embedding.</param>
    /// <param name="begin">Token that begins a text; null for none.</param>
    /// <param name="stops">Tokens that end an answer.</param>
    /// <exception cref="UnsupportedCheckpointException">llama.cpp would give other token ids; the message says why.</exception>
    public GgufVocabulary(string directory, HfTokenizer tokenizer, int rows, int? begin, StopTokens stops)
    {
        _files = new TokenizerFiles(directory);
        if (tokenizer.VocabularySize > rows)
            throw Refused($"it gives ids up to {tokenizer.VocabularySize - 1}, and the embedding has {rows} rows");
        _tokens = new string[rows];
        _types = new SentencePieceType[rows];
        var isSentencePiece = Model["byte_fallback"].Flag(false);
        Fill(tokenizer, isSentencePiece);
        RequirePlainAddedTokens(tokenizer);
        Add("model", isSentencePiece ? "llama" : "gpt2");
        if (isSentencePiece)
            AddPieces(tokenizer);
        else
            AddByteLevel();
        AddSpecial(tokenizer, begin, stops);
        if (tokenizer.ChatTemplate is { } template)
            _keys.Add(("tokenizer.chat_template", template));
    }

    /// <summary>Keys and values, in the order of the converter.</summary>
    public IReadOnlyList<(string Key, object Value)> Keys => _keys;

    /// <summary>Where llama.cpp differs in rare texts, in sentences.</summary>
    public IReadOnlyList<string> Notes => _notes;

    /// <summary>
    /// Whether white space right of special tokens belongs to them. llama.cpp does that if <c>general.name</c> holds "phi-3", only then.
    /// </summary>
    public bool StripsRight { get; private set; }

    private TokenizerSection Model => _files.Tokenizer["model"];

    private void Fill(HfTokenizer tokenizer, bool isSentencePiece)
    {
        foreach (var (text, id) in Model["vocab"].Members())
        {
            var number = id.Number();
            if (_tokens[number] is { } other)
                throw Refused($"'{other}' and '{text}' have the same id {number}");
            _tokens[number] = text;
            var isByte = isSentencePiece && text.Length == 6 && text.StartsWith("<0x", StringComparison.Ordinal) && text[5] == '>';
            _types[number] = isByte ? SentencePieceType.Byte : SentencePieceType.Normal;
        }

        foreach (var token in tokenizer.AddedTokens)
        {
            _tokens[token.Id] = token.Content;
            _types[token.Id] = token.Special ? SentencePieceType.Control : SentencePieceType.UserDefined;
        }

        if (isSentencePiece)
            FillRunsOfSpaces(tokenizer);
        for (var id = 0; id < _tokens.Length; id++)
            if (_tokens[id] is null)
                (_tokens[id], _types[id]) = ($"[PAD{id}]", SentencePieceType.Unused);
        var twice = _tokens.Index().GroupBy(token => token.Item).FirstOrDefault(group => group.Count() > 1);
        if (twice is not null)
            throw Refused($"the token '{twice.Key}' stands for the ids {string.Join(" and ", twice.Select(token => token.Index))}");
        if (_tokens.FirstOrDefault(token => token.Length == 0) is not null)
            throw Refused("a token is empty");
    }

    // Added tokens such as ▁▁ stand for no text that has spaces: those come about by merges, as any other piece does. Where no score gives
    // the order of the merges (Gemma), llama.cpp finds such a run in the text itself, the longest first.
    private void FillRunsOfSpaces(HfTokenizer tokenizer)
    {
        var made = Merges().Select(merge => merge.Left + merge.Right).ToHashSet();
        var runs = tokenizer
            .AddedTokens.Where(token => !token.Special && token.Content.Contains('▁') && made.Contains(token.Content))
            .ToList();
        if (runs.Count > 0)
            _notes.Add(
                "A text with the character ▁ itself, which stands for spaces in this vocabulary, gets other token ids in llama.cpp."
            );
        var contents = runs.Select(run => run.Content).ToHashSet();
        HashSet<string> ended = [];
        var (last, inOrder) = ("", true);
        foreach (var whole in Merges().Select(merge => merge.Left + merge.Right))
        {
            if (whole != last && contents.Contains(whole))
                inOrder &= ended.Add(whole);
            last = whole;
        }

        foreach (var run in runs)
            if (inOrder)
                _types[run.Id] = SentencePieceType.Normal;
            else
                _tokens[run.Id] = run.Content.Replace('▁', ' ');
    }

    private void RequirePlainAddedTokens(HfTokenizer tokenizer)
    {
        if (tokenizer.AddedTokens.FirstOrDefault(token => token.LeftStrip || token.SingleWord) is { } other)
            throw Refused(
                $"the added token '{other.Content}' has {(other.LeftStrip ? "lstrip" : "single_word")}, for which llama.cpp has no key"
            );
        var strips = tokenizer.AddedTokens.Where(token => token.RightStrip).ToList();
        if (strips.Count == 0)
            return;
        // What llama.cpp does to a model with this name.
        bool Stripped(AddedToken token) =>
            (token.Special || token.Content == "</s>") && token.Content is not ("<unk>" or "<s>" or "<|endoftext|>");
        if (tokenizer.AddedTokens.FirstOrDefault(token => token.RightStrip != Stripped(token)) is { } exception)
            throw Refused(
                $"the added token '{exception.Content}' has rstrip {(exception.RightStrip ? "true" : "false")}, unlike others; llama.cpp "
                    + "strips right of all special tokens or of none"
            );
        StripsRight = true;
    }

    private void AddByteLevel()
    {
        var normalizer = _files.Tokenizer["normalizer"];
        if (!normalizer.IsNull && normalizer["type"].TextOrNull() != "NFC")
            throw Refused($"the normalizer {normalizer["type"].TextOrNull()} has no place in a GGUF file of a byte-level tokenizer");
        if (!normalizer.IsNull)
            _notes.Add("llama.cpp does not compose characters (NFC): texts with decomposed accents get other token ids there.");
        if (_files.Tokenizer["pre_tokenizer"].IsNull)
            throw Refused("it has no pre_tokenizer and no byte_fallback, so it is neither byte-level nor SentencePiece");
        var like = TextSplitting.Like(_files.Tokenizer["pre_tokenizer"]);
        if (like.Count == 0)
            throw Refused(
                "llama.cpp has no name for the way its pre_tokenizer splits texts (tried: "
                    + $"{string.Join(", ", TextSplitting.All.Select(one => one.Name))})"
            );
        var ignoresMerges = Model["ignore_merges"].Flag(false);
        var splitting = like.FirstOrDefault(one => one.IgnoresMerges == ignoresMerges)
            ?? (
                MergesReachEveryToken()
                    ? like[0]
                    : throw Refused(
                        $"ignore_merges is {(ignoresMerges ? "true" : "false")}, and llama.cpp's splitting {like[0].Name} has it otherwise"
                    )
            );
        Add("pre", splitting.Name);
        Add("tokens", _tokens);
        Add("token_type", _types.Select(type => (int)type).ToArray());
        Add("merges", Merges().Select(merge => $"{merge.Left} {merge.Right}").ToArray());
    }

    // Then it is all the same whether a word that is a token is taken whole.
    private bool MergesReachEveryToken()
    {
        var made = Merges().Select(merge => merge.Left + merge.Right).ToHashSet();
        return _tokens
            .Index()
            .All(token => _types[token.Index] != SentencePieceType.Normal || token.Item.Length == 1 || made.Contains(token.Item));
    }

    private void AddPieces(HfTokenizer tokenizer)
    {
        var missing = Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>").FirstOrDefault(token => tokenizer.TokenId(token) is null);
        if (missing is not null)
            throw Refused($"the byte token {missing} is missing, which llama.cpp needs");
        var (prefix, differs) = SpacePrefix();
        if (differs)
            _notes.Add(
                "llama.cpp puts a space before the text after every special token, and before a leading space; this tokenizer does not."
            );
        Add("pre", "default");
        Add("tokens", _tokens);
        Add("scores", PieceScores.Of(_tokens, _types, Merges(), Refused));
        Add("token_type", _types.Select(type => (int)type).ToArray());
        if (!prefix)
            Add("add_space_prefix", false);
    }

    // What happens to a text before pieces are merged: spaces become ▁, perhaps with one before the text.
    private (bool Prefix, bool DiffersLater) SpacePrefix()
    {
        var normalize = Normalizers.Read(_files.Tokenizer["normalizer"]);
        var split = PreTokenizers.Read(_files.Tokenizer["pre_tokenizer"]);
        string? Made(string text, bool atStart)
        {
            List<Piece> words = [];
            split(new Piece(normalize(text), atStart), words);
            return words.Count == 1 ? words[0].Text : null;
        }

        static string Wanted(string text, bool prefix) => (prefix ? "▁" : "") + text.Replace(' ', '▁');
        string[] plain = ["a", "a b", "a  b\n c", "É\u0301 ﬁ  日本", "x\t y "];
        foreach (var prefix in new[] { true, false })
            if (plain.All(text => Made(text, true) == Wanted(text, prefix)))
                return (
                    prefix,
                    plain.Append(" a").Any(text => Made(text, false) != Wanted(text, prefix)) || Made(" a", true) != Wanted(" a", prefix)
                );
        throw Refused("its normalizer and pre_tokenizer do more than turn spaces into ▁, which is all that llama.cpp does");
    }

    private IEnumerable<(string Left, string Right)> Merges()
    {
        foreach (var merge in Model["merges"].Items())
        {
            string[] pieces =
                merge.Json.ValueKind == System.Text.Json.JsonValueKind.String
                    ? merge.Text().Split(' ')
                    : [.. merge.Items().Select(piece => piece.Text())];
            yield return pieces.Length == 2 ? (pieces[0], pieces[1]) : throw merge.Unsupported("a merge must have two pieces");
        }
    }

    private void AddSpecial(HfTokenizer tokenizer, int? begin, StopTokens stops)
    {
        if (stops.All.FirstOrDefault(id => id >= _tokens.Length, -1) is var beyond and >= 0)
            throw Refused($"the end token {beyond} of generation_config.json or config.json is beyond the {_tokens.Length} tokens");
        var unknown = (_files.SpecialToken("unk_token") ?? Model["unk_token"].TextOrNull()) is { } text ? tokenizer.TokenId(text) : null;
        var padding = _files.SpecialToken("pad_token") is { } pad ? tokenizer.TokenId(pad) : null;
        List<(string Name, int? Id)> named =
        [
            ("bos", begin < _tokens.Length ? begin : null),
            ("eos", stops.End),
            ("unknown", unknown),
            ("padding", padding),
        ];
        // llama.cpp knows usual names of end tokens, and takes two more by key.
        named.AddRange(stops.All.Skip(1).Zip(["eot", "eom"], (id, name) => (name, (int?)id)));
        foreach (var (name, id) in named)
            if (id is not null)
                Add($"{name}_token_id", (uint)id);
        if (stops.All.Count > 3)
            _notes.Add(
                "The metadata have room for three end tokens; the others stand in the Modelfile: "
                    + string.Join(", ", stops.All.Skip(3).Select(id => _tokens[id]))
                    + "."
            );
        var ends = PostProcessor.Read(_files.Tokenizer["post_processor"]);
        if (ends.Before.Count > 1 || (ends.Before.Count == 1 && ends.Before[0] != begin))
            throw Refused("it begins texts with another token than bos_token");
        if (ends.After.Count > 1 || (ends.After.Count == 1 && ends.After[0] != stops.End))
            throw Refused("it ends texts with another token than eos_token");
        Add("add_bos_token", ends.Before.Count > 0);
        if (ends.After.Count > 0)
            Add("add_eos_token", true);
    }

    private void Add(string key, object value) => _keys.Add(("tokenizer.ggml." + key, value));

    private UnsupportedCheckpointException Refused(string reason) =>
        new(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{_files.Tokenizer.File}: {reason}. llama.cpp would not read texts as this tokenizer; no GGUF file is written."
            )
        );
}
