using System.Text;
using LLama.Native;

namespace Falcon.Tests.Exchange.Gguf;

/// <summary>
/// llama.cpp, through LLamaSharp, as the runner of a GGUF file: token ids in, the most likely token of each step out. One thread, float32
/// caches and no flash attention, so that it computes as exactly as it can.
/// </summary>
internal sealed class LlamaRunner : IDisposable
{
    private static readonly Lock Native = new();
    private static bool isReady;

    private readonly SafeLlamaModelHandle _model;
    private readonly uint _context;

    private LlamaRunner(SafeLlamaModelHandle model, int context) => (_model, _context) = (model, (uint)context);

    /// <summary>Loads a file.</summary>
    /// <param name="file">A GGUF file. Only sound ones: llama.cpp ends the process on some others.</param>
    /// <param name="context">Most tokens of prompt and answer.</param>
    public static LlamaRunner Load(string file, int context = 256)
    {
        lock (Native)
        {
            if (!isReady)
            {
                NativeLibraryConfig.LLama.WithLogCallback((_, _) => { });
                NativeApi.llama_empty_call(); // chooses and loads the library for this processor
                isReady = true;
            }
        }

        return new LlamaRunner(SafeLlamaModelHandle.LoadFromFile(file, LLamaModelParams.Default()), context);
    }

    /// <summary>The most likely next tokens, one after the other; end tokens do not stop it.</summary>
    /// <param name="prompt">Token ids.</param>
    /// <param name="count">Number of new tokens.</param>
    /// <returns>Each token with its lead: the difference of its logit to the next best.</returns>
    public IReadOnlyList<(int Token, double Lead)> Greedy(IReadOnlyList<int> prompt, int count)
    {
        var settings = LLamaContextParams.Default();
        (settings.n_ctx, settings.n_batch, settings.n_ubatch) = (_context, _context, _context);
        (settings.n_threads, settings.n_threads_batch) = (1, 1);
        (settings.type_k, settings.type_v) = (GGMLType.GGML_TYPE_F32, GGMLType.GGML_TYPE_F32);
        settings.llama_flash_attn_type = LLamaFlashAttentionType.LLAMA_FLASH_ATTENTION_TYPE_DISABLED;
        using var context = SafeLLamaContextHandle.Create(_model, settings);
        var batch = new LLamaBatch();
        for (var i = 0; i < prompt.Count; i++)
            batch.Add(prompt[i], i, LLamaSeqId.Zero, i == prompt.Count - 1);
        List<(int, double)> tokens = [];
        for (var position = prompt.Count; ; position++)
        {
            var result = context.Decode(batch);
            if (result != DecodeResult.Ok)
                throw new InvalidOperationException($"llama.cpp: {result}");
            tokens.Add(Best(context.GetLogitsIth(batch.TokenCount - 1)));
            if (tokens.Count == count)
                return tokens;
            batch.Clear();
            batch.Add(tokens[^1].Item1, position, LLamaSeqId.Zero, true);
        }
    }

    /// <summary>The token ids of a text.</summary>
    /// <param name="text">The text; special tokens in it are recognised.</param>
    /// <param name="addSpecial">Whether begin and end tokens are added as the file says.</param>
    public int[] Tokenize(string text, bool addSpecial = true) =>
        [.. _model.Tokenize(text, addSpecial, special: true, Encoding.UTF8).Select(token => (int)token)];

    /// <summary>Whether the runner ends an answer at a token.</summary>
    public bool IsEnd(int token) => ((LLamaToken)token).IsEndOfGeneration(_model.Vocab);

    /// <summary>Frees the model.</summary>
    public void Dispose() => _model.Dispose();

    private static (int Token, double Lead) Best(ReadOnlySpan<float> logits)
    {
        var best = 0;
        for (var i = 1; i < logits.Length; i++)
            if (logits[i] > logits[best])
                best = i;
        var next = float.NegativeInfinity;
        for (var i = 0; i < logits.Length; i++)
            if (i != best)
                next = Math.Max(next, logits[i]);
        return (best, logits[best] - next);
    }
}
