using System.Text;
using System.Text.RegularExpressions;

namespace Falcon.Hub;

/// <summary>Chooses the files of a repository that are fetched.</summary>
internal static class FileSelection
{
    // Weights in formats that Falcon does not read; repositories often hold several copies of a model.
    private static readonly string[] OtherWeights =
    [
        "*.bin", "*.bin.index.json", "*.pth", "*.pt", "*.ckpt*", "*.h5", "*.msgpack", "*.onnx*", "*.gguf", "*.ot", "*.tflite", "*.mlmodel",
        "onnx/*", "openvino/*", "coreml/*",
    ];

    /// <summary>
    /// The files that match a pattern. Without patterns: all files, but of a model with safetensors no weights in other formats and no
    /// second copy called consolidated.
    /// </summary>
    public static IReadOnlyList<HubFile> Of(IReadOnlyList<HubFile> files, IReadOnlyList<string> patterns, HubRepositoryType type)
    {
        if (patterns.Count > 0)
            return [.. files.Where(file => patterns.Any(pattern => Matches(file.Path, pattern)))];
        if (type != HubRepositoryType.Model || !files.Any(file => file.Path is "model.safetensors" or "model.safetensors.index.json"))
            return files;
        return
        [
            .. files.Where(file =>
                !OtherWeights.Any(pattern => Matches(file.Path, pattern))
                && !Matches(file.Path, "consolidated*.safetensors")
                && !Matches(file.Path, "original/*")
            ),
        ];
    }

    /// <summary>
    /// Whether a path matches a pattern of <c>*</c> (any text, slashes too), <c>?</c> (one character) and <c>[abc]</c> (one of these), as
    /// the hub's own client reads patterns.
    /// </summary>
    public static bool Matches(string path, string pattern)
    {
        var expression = new StringBuilder("^");
        for (var i = 0; i < pattern.Length; i++)
        {
            var end = pattern[i] == '[' ? pattern.IndexOf(']', Math.Min(i + 2, pattern.Length)) : -1;
            if (end > 0)
            {
                var set = pattern[(i + 1)..end]
                    .Replace("\\", "\\\\", StringComparison.Ordinal)
                    .Replace("[", "\\[", StringComparison.Ordinal);
                if (set[0] == '!') set = "^" + set[1..];
                else if (set[0] == '^') set = "\\" + set;
                expression.Append('[').Append(set).Append(']');
                i = end;
            }
            else expression.Append(pattern[i] switch { '*' => ".*", '?' => ".", var character => Regex.Escape(character.ToString()) });
        }

        return Regex.IsMatch(path, expression.Append("\\z").ToString(), RegexOptions.Singleline | RegexOptions.CultureInvariant);
    }
}
