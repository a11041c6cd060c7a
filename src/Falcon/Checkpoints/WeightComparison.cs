using System.Globalization;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;

namespace Falcon.Checkpoints;

/// <summary>Compares the stored names, shapes and dtypes with what config.json asks for, in both directions.</summary>
internal static class WeightComparison
{
    private const int MostFaults = 6;

    // What quantising libraries store beside a matrix (bitsandbytes, GPTQ, AWQ, compressed-tensors).
    private static readonly string[] Quantised =
    [
        ".SCB",
        ".absmax",
        ".quant_map",
        ".nested_absmax",
        ".nested_quant_map",
        ".qweight",
        ".qzeros",
        ".scales",
        ".g_idx",
        ".weight_scale",
        ".weight_packed",
        ".weight_scale_inv",
        ".weight_format",
    ];

    /// <summary>Refuses a checkpoint whose weights do not fit its configuration.</summary>
    /// <exception cref="UnsupportedCheckpointException">The message lists what is missing, unexpected or misshapen.</exception>
    public static void Require(WeightFiles files, ModelConfig config)
    {
        if (files.Names.FirstOrDefault(IsQuantised) is { } leftover)
            throw new UnsupportedCheckpointException(
                $"{files.Locate(leftover).File.Path}: \"{leftover}\" belongs to quantised weights, which are not supported. "
                    + "Use the unquantised checkpoint, or dequantise this one with the library that wrote it."
            );
        var expected = WeightNames.Expected(config).ToDictionary(item => item.Name, item => item.Shape);
        List<string> missing = [.. expected.Keys.Where(name => !files.TryLocate(name, out _))];
        if (missing is [var only] && only == config.Architecture.HeadWeight)
            throw WithoutHead(files, config);
        if (missing.Count > 0 && OtherPrefix(files, missing) is { } renamed)
            throw renamed;
        List<string> faults = [.. missing.Select(name => $"missing {name}{Nearest(files, name)}")];
        foreach (var (name, shape) in expected)
        {
            if (!files.TryLocate(name, out var found))
                continue;
            if (!found.Entry.Shape.SequenceEqual(shape))
                faults.Add($"{name} has shape {Text(found.Entry.Shape)}, config.json asks for {Text(shape)}");
            else if (found.Entry.DType is not ("F32" or "BF16" or "F16"))
                faults.Add($"{name} has dtype {found.Entry.DType}, supported are F32, BF16 and F16");
        }

        foreach (var name in files.Names.Where(name => !expected.ContainsKey(name) && !config.Architecture.Allows(name)))
            faults.Add($"unexpected {name}");
        if (faults.Count == 0)
            return;
        var more = faults.Count > MostFaults ? string.Create(CultureInfo.InvariantCulture, $"; and {faults.Count - MostFaults} more") : "";
        throw new UnsupportedCheckpointException(
            $"{files.Directory}: the weights do not fit config.json: {string.Join("; ", faults.Take(MostFaults))}{more}. "
                + "Use the config.json and the weights of one and the same checkpoint."
        );
    }

    private static bool IsQuantised(string name) =>
        name.Contains(".quant_state.", StringComparison.Ordinal) || Quantised.Any(end => name.EndsWith(end, StringComparison.Ordinal));

    private static UnsupportedCheckpointException WithoutHead(WeightFiles files, ModelConfig config) =>
        new(
            $"{files.Directory}: no file holds the output head \"{config.Architecture.HeadWeight}\", and config.json does not tie it to "
                + $"the embedding ({StoredHeads.Said(config)}). If the model uses its embedding as output head, set "
                + "\"tie_word_embeddings\": true in config.json; otherwise copy the file that holds the head."
        );

    // torch.compile and DataParallel put a word of their own into every name; so do wrappers of training programs.
    private static UnsupportedCheckpointException? OtherPrefix(WeightFiles files, List<string> missing)
    {
        foreach (var (name, stored) in missing.Select(name => (name, Ending(files, name))))
        {
            if (stored is null)
                continue;
            var prefix = stored[..^name.Length];
            return new(
                $"{files.Locate(stored).File.Path}: the tensor \"{name}\" is called \"{stored}\" in the file. The names begin with "
                    + $"\"{prefix}\", which a wrapper of the training program adds; save the model again without the wrapper, or rename "
                    + "the tensors."
            );
        }

        return null;
    }

    private static string? Ending(WeightFiles files, string name) =>
        files.Names.FirstOrDefault(stored => stored.EndsWith("." + name, StringComparison.Ordinal));

    /// <summary>A stored name that differs in inserted or left-out parts only, for a message; empty for none.</summary>
    private static string Nearest(WeightFiles files, string name)
    {
        var parts = name.Split('.');
        var near = files.Names.FirstOrDefault(stored =>
        {
            var others = stored.Split('.');
            return others.Length != parts.Length && (IsWithin(parts, others) || IsWithin(others, parts) && others.Length > 1);
        });
        return near is null ? "" : $" (the file has {near})";
    }

    private static bool IsWithin(string[] few, string[] many)
    {
        var next = 0;
        foreach (var part in many)
            if (next < few.Length && few[next] == part)
                next++;
        return next == few.Length;
    }

    private static string Text(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";
}
