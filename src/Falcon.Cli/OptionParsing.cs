using System.CommandLine;
using System.Globalization;

namespace Falcon.Cli;

/// <summary>
/// Option types that System.CommandLine lacks: one of several words, comma lists, layer ranges, numbers in invariant notation, sizes.
/// </summary>
internal static class OptionParsing
{
    /// <summary>Restricts the option to the given words; the error message fits on one line.</summary>
    public static void AcceptOneOf<T>(this Option<T> option, params string[] words)
        where T : class?
    {
        option.CompletionSources.Add(words);
        option.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !words.Contains(token.Value, StringComparer.Ordinal))
                result.AddError($"{option.Name} is '{token.Value}', it must be one of {string.Join(", ", words)}");
        });
    }

    /// <summary>An option whose value is a comma-separated list; empty entries are an error.</summary>
    public static Option<string[]> List(string name, string description, string helpName, bool required = false) =>
        new(name)
        {
            Description = description,
            HelpName = helpName,
            Required = required,
            Arity = ArgumentArity.ExactlyOne,
            DefaultValueFactory = required ? null! : _ => [],
            CustomParser = result =>
            {
                var entries = result.Tokens[0].Value.Split(',', StringSplitOptions.TrimEntries);
                if (entries.Any(string.IsNullOrEmpty))
                    result.AddError($"{name} has an empty entry in '{result.Tokens[0].Value}'; write A,B without empty entries");
                return entries;
            },
        };

    /// <summary>An option with a real number in invariant notation (decimal point), at least <paramref name="least"/>.</summary>
    public static Option<double?> Number(string name, string description, string helpName, double least = double.NegativeInfinity) =>
        new(name)
        {
            Description = description,
            HelpName = helpName,
            CustomParser = result =>
            {
                var text = result.Tokens[0].Value;
                var isNumber = double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number);
                if (isNumber && double.IsFinite(number) && number >= least) return number;
                var bound = double.IsFinite(least) ? string.Create(CultureInfo.InvariantCulture, $", at least {least}") : "";
                result.AddError($"{name} is '{text}', it must be a number such as 0.5{bound}");
                return null;
            },
        };

    /// <summary>
    /// An option with an amount of memory such as <c>512MB</c>, <c>4GB</c> or <c>3.5GiB</c>, in bytes; KB, MB and GB are powers of 1000,
    /// KiB, MiB and GiB of 1024.
    /// </summary>
    public static Option<long?> Bytes(string name, string description) =>
        new(name)
        {
            Description = description,
            HelpName = "SIZE",
            CustomParser = result =>
            {
                var text = result.Tokens[0].Value.Trim();
                var number = text.TrimEnd([.. "KMGTiBkmgtb "]);
                long? unit = text[number.Length..].Trim().ToUpperInvariant() switch
                {
                    "" or "B" => 1,
                    "KB" => 1000,
                    "MB" => 1000_000,
                    "GB" => 1000_000_000,
                    "TB" => 1000_000_000_000,
                    "KIB" => 1L << 10,
                    "MIB" => 1L << 20,
                    "GIB" => 1L << 30,
                    "TIB" => 1L << 40,
                    _ => null,
                };
                if (
                    unit is { } bytes
                    && double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out var amount)
                    && amount * bytes is >= 0 and < long.MaxValue / 2
                )
                    return (long)(amount * bytes);
                result.AddError($"{name} is '{text}', it must be an amount of memory such as 512MB or 4GB");
                return null;
            },
        };

    /// <summary>An option with a whole number, at least <paramref name="least"/>; null when absent.</summary>
    public static Option<int?> Integer(string name, string description, int least) =>
        new(name)
        {
            Description = description,
            HelpName = "N",
            CustomParser = result =>
            {
                var text = result.Tokens[0].Value;
                if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= least)
                    return number;
                result.AddError(
                    string.Create(CultureInfo.InvariantCulture, $"{name} is '{text}', it must be a whole number, at least {least}")
                );
                return null;
            },
        };

    /// <summary>An option with a range of layers, written A-B (both included, counted from 0) or A.</summary>
    public static Option<LayerRange?> Layers(string name, string description) =>
        new(name)
        {
            Description = description,
            HelpName = "A-B",
            CustomParser = result =>
            {
                var text = result.Tokens[0].Value;
                var ends = text.Split('-');
                if (
                    ends.Length <= 2
                    && int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out var first)
                    && int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out var last)
                    && first <= last
                )
                    return new LayerRange(first, last);
                result.AddError($"{name} is '{text}', it must be a range of layers such as 2-5");
                return null;
            },
        };
}

/// <summary>Layers from <paramref name="First"/> to <paramref name="Last"/>, both included, counted from 0.</summary>
internal sealed record LayerRange(int First, int Last);
