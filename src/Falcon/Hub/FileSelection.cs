using System.Text;
using System.Text.RegularExpressions;

namespace Falcon.Hub;

/// <summary>Which files of a repository are fetched.</summary>
internal static class FileSelection
{
    // Weights in forms that are not read here; often several copies of the same model.
    private static readonly string[] OtherWeights =
    [
        "*.bin",
        "*.bin.index.json",
        "*.pth",
        "*.pt",
        "*.ckpt*",
        "*.h5",
        "*.msgpack",
        "*.onnx*",
        "*.gguf",
        "*.ot",
        "*.tflite",
        "*.mlmodel",
        "onnx/*",
        "openvino/*",
        "coreml/*",
    ];

    /// <summary>
    /// The files that a pattern names; without patterns all of them, of a model with safetensors all but its weights in other forms, and of
    /// sharded ones all but a second copy called consolidated.
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
    /// Whether a path fits a pattern of <c>*</c> (any text, slashes too), <c>?</c> (one character) and <c>[abc]</c> (one of them), as the
    /// hub's own client reads patterns.
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
                expression
                    .Append('[')
                    .Append(
                        set[0] == '!' ? "^" + set[1..]
                        : set[0] == '^' ? "\\" + set
                        : set
                    )
                    .Append(']');
                i = end;
            }
            else expression.Append(pattern[i] switch { '*' => ".*", '?' => ".", var character => Regex.Escape(character.ToString()) });
        }

        return Regex.IsMatch(path, expression.Append("\\z").ToString(), RegexOptions.Singleline | RegexOptions.CultureInvariant);
    }
}
