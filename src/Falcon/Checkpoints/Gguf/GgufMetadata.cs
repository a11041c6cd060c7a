using Falcon.Runtime;

namespace Falcon.Checkpoints.Gguf;

/// <summary>
/// The keys and values of a GGUF file. Integers are long or ulong, other numbers double, and arrays are arrays of them. Asking for a key
/// that is absent, or of another type, is an error that names file and key.
/// </summary>
/// <param name="path">The file.</param>
/// <param name="values">Values by key.</param>
internal sealed class GgufMetadata(string path, IReadOnlyDictionary<string, object> values)
{
    /// <summary>All keys.</summary>
    public IEnumerable<string> Keys => values.Keys;

    /// <summary>Whether a key is there.</summary>
    public bool Has(string key) => values.ContainsKey(key);

    /// <summary>A value of any type.</summary>
    public object Value(string key) =>
        values.TryGetValue(key, out var value)
            ? value
            : throw new UnsupportedCheckpointException($"{path}: the key {key} is missing. Take another file of the model.");

    /// <summary>A text.</summary>
    public string Text(string key) => Of<string>(key, "a text");

    /// <summary>A flag.</summary>
    public bool Flag(string key) => Of<bool>(key, "true or false");

    /// <summary>A flag; another value where it is absent.</summary>
    public bool Flag(string key, bool otherwise) => Has(key) ? Flag(key) : otherwise;

    /// <summary>A whole number.</summary>
    public long Integer(string key) =>
        Value(key) switch
        {
            long number => number,
            ulong number and <= long.MaxValue => (long)number,
            _ => throw Wrong(key, "a whole number"),
        };

    /// <summary>A whole number within bounds.</summary>
    public int Integer(string key, int least, int most)
    {
        var number = Integer(key);
        return number >= least && number <= most ? (int)number : throw Wrong(key, $"a number from {least} to {most}");
    }

    /// <summary>A finite number.</summary>
    public double Number(string key) =>
        Value(key) switch
        {
            double number when double.IsFinite(number) => number,
            long number => number,
            _ => throw Wrong(key, "a finite number"),
        };

    /// <summary>Texts.</summary>
    public string[] Texts(string key) => Of<string[]>(key, "a list of texts");

    /// <summary>Numbers.</summary>
    public double[] Numbers(string key) => Of<double[]>(key, "a list of numbers");

    /// <summary>Whole numbers.</summary>
    public long[] Integers(string key) => Of<long[]>(key, "a list of whole numbers");

    /// <summary>The error for a value that cannot be used.</summary>
    /// <param name="key">The key.</param>
    /// <param name="wanted">What should stand there.</param>
    public UnsupportedCheckpointException Wrong(string key, string wanted) =>
        new($"{path}: {key} is {Shown(Value(key))}; it must be {wanted}. Take another file of the model.");

    private T Of<T>(string key, string wanted) => Value(key) is T value ? value : throw Wrong(key, wanted);

    private static string Shown(object value) =>
        value switch
        {
            Array array => $"a list of {array.Length} ({array.GetType().GetElementType()!.Name})",
            string text => $"'{(text.Length > 60 ? text[..60] + "..." : text)}'",
            _ => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{value}"),
        };
}
