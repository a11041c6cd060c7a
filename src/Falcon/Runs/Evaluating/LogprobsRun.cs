using System.Globalization;
using System.Runtime.InteropServices;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Runs.Evaluating;

/// <summary>
/// Writes the token ids, log-probabilities and logits of texts under a model as a safetensors file: the numbers to compare with another
/// program's. Text i of the file (from 0) has <c>input_ids_i</c> (int64 [n]), <c>token_logprob_i</c> (float32 [n-1], the natural logarithm
/// of the probability of token t+1 given tokens 0 to t) and, where asked for, <c>logits_i</c> (float32, [V] or [n, V]).
/// </summary>
public static class LogprobsRun
{
    private const string Stage = "log-probabilities";

    // Logits in memory at a time, 128 MiB of float32.
    private const long LogitsAtATime = 1 << 25;

    /// <summary>
    /// Runs the model over the texts one by one and writes the file, whole or not at all. In memory are the model (or one of its layers)
    /// and the longest text.
    /// </summary>
    /// <param name="settings">Model, texts and file.</param>
    /// <param name="context">Log, device, dtype, memory limit, clock and cancellation.</param>
    /// <returns>What was written.</returns>
    /// <exception cref="UserInputException">Model, texts or the file to write cannot be used.</exception>
    /// <exception cref="NumericalFailureException">A log-probability is not finite.</exception>
    public static LogprobsRecord Execute(LogprobsSettings settings, RunContext context)
    {
        var begin = context.Clock.GetTimestamp();
        var path = Path.GetFullPath(settings.Out);
        if (Directory.Exists(path)) throw new UserInputException($"--out {settings.Out}: it is a directory; name a file to write.");
        using var checkpoint = Checkpoint.Open(settings.Model);
        var compute = ComputeOptions.Choose(context.Device, context.DType, checkpoint.Stored, context.MemoryLimit);
        context.Log.Information(compute.Reason);
        var texts = new TokenisedTexts(settings, checkpoint.Config);
        List<int> lengths = [];
        foreach (var ids in texts.Read())
        {
            context.Cancellation.ThrowIfCancellationRequested();
            lengths.Add(ids.Length);
        }

        if (lengths.Max() is var longest && longest > checkpoint.Config.MaxPositions)
            context.Log.Warning(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{settings.Data}: the longest text has {longest} tokens, and the model was made for {checkpoint.Config.MaxPositions}"
                )
            );
        var model = EvaluatedModel.Of(settings.Model, context.Cancellation);
        var data = new FileHash(
            settings.Data,
            FileSize.Of(settings.Data),
            ContentHash.OfFile(settings.Data, context.Cancellation)
        );
        using var opened = OpenedModel.Open(checkpoint, compute, context.MemoryLimit, context.Log);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var sum = Write(path, settings, texts, lengths, opened.Model, context);
        var predicted = lengths.Sum(length => length - 1L);
        return new LogprobsRecord(
            settings.Out,
            lengths.Count,
            lengths.Sum(length => (long)length),
            sum,
            predicted > 0 ? Math.Exp(-sum / predicted) : null,
            settings.Logits.ToString().ToLowerInvariant(),
            ContentHash.OfFile(path, context.Cancellation),
            model,
            data,
            EnvironmentRecord.Capture(compute.Device.ToString(), compute.DType.ToString().ToLowerInvariant(), 0, context.Clock),
            context.Clock.GetElapsedTime(begin).TotalSeconds
        );
    }

    // The ids come first, since every tensor of 8-byte numbers must begin at a multiple of 8.
    private static double Write(
        string path,
        LogprobsSettings settings,
        TokenisedTexts texts,
        List<int> lengths,
        CausalLM model,
        RunContext context
    )
    {
        using var ids = texts.Read().GetEnumerator();
        using var states = new FinalStates(model, texts.Read(), context.Cancellation);
        List<SafetensorsSource> tensors = [];
        var sum = 0.0;
        var scores = Array.Empty<float>();
        long vocabulary = model.Config.VocabularySize;
        for (var i = 0; i < lengths.Count; i++)
        {
            var length = lengths[i];
            tensors.Add(
                new SafetensorsSource($"input_ids_{i}", "I64", [length], stream =>
                {
                    context.Cancellation.ThrowIfCancellationRequested();
                    if (!ids.MoveNext() || ids.Current.Length != length) throw Changed(settings);
                    stream.Write(MemoryMarshal.AsBytes<long>(Array.ConvertAll(ids.Current, id => (long)id)));
                })
            );
        }

        for (var i = 0; i < lengths.Count; i++)
        {
            var (text, length) = (i, lengths[i]);
            if (settings.Logits != LogitsKept.None)
                tensors.Add(
                    new SafetensorsSource(
                        $"logits_{i}",
                        "F32",
                        settings.Logits == LogitsKept.All ? [length, vocabulary] : [vocabulary],
                        stream => Score(stream)
                    )
                );
            tensors.Add(
                new SafetensorsSource($"token_logprob_{i}", "F32", [length - 1], stream =>
                {
                    if (settings.Logits == LogitsKept.None) Score(null);
                    stream.Write(MemoryMarshal.AsBytes<float>(scores));
                })
            );

            void Score(Stream? logits)
            {
                var (tokens, hidden) = states.Take();
                using (hidden)
                {
                    if (tokens.Length != length) throw Changed(settings);
                    scores = Scores(model, tokens, hidden, settings.Logits, logits);
                }

                if (Array.Find(scores, score => !float.IsFinite(score)) is not 0f and var wrong)
                    throw new NumericalFailureException(
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"{settings.Data}: text {text} (from 0) has a log-probability that is not finite ({wrong}); the model's "
                                + $"weights are damaged, or it needs --dtype float32. Nothing was written."
                        )
                    );
                sum += scores.Sum(score => (double)score);
                context.Log.Progress(Stage, text + 1, lengths.Count);
            }
        }

        SafetensorsWriter.Write(path, tensors, keepOrder: true);
        return sum;
    }

    /// <summary>
    /// The log-probabilities of the tokens of a text from its residual stream [T, H] after the last layer; logits go block by block to the
    /// stream.
    /// </summary>
    private static float[] Scores(CausalLM model, int[] tokens, Tensor hidden, LogitsKept kept, Stream? destination)
    {
        using var noGrad = no_grad();
        List<float> scores = new(tokens.Length);
        var rows = (int)Math.Max(1, LogitsAtATime / model.Config.VocabularySize);
        for (var begin = 0; begin < tokens.Length; begin += rows)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(rows, tokens.Length - begin);
            var logits = model.Head(hidden.narrow(0, begin, count)).to(float32); // [count, V]
            if (kept == LogitsKept.All) TensorBytes.Write(logits, destination!);
            else if (kept == LogitsKept.Last && begin + count == tokens.Length) TensorBytes.Write(logits[count - 1], destination!);
            var predicted = Math.Min(count, tokens.Length - 1 - begin);
            if (predicted == 0) continue;
            var targets = tensor(tokens.Skip(begin + 1).Take(predicted).Select(id => (long)id).ToArray(), int64, model.Device).unsqueeze(1);
            var predicting = logits.narrow(0, 0, predicted);
            var likelihoods = predicting.gather(1, targets).squeeze(1) - predicting.logsumexp(1);
            scores.AddRange(likelihoods.cpu().data<float>().ToArray());
        }

        return [.. scores];
    }

    private static UserInputException Changed(LogprobsSettings settings) =>
        new($"{settings.Data}: the file was changed while it was read; leave it as it is and start again.");
}
