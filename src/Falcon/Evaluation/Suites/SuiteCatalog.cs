using Falcon.Evaluation.Facts;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>The suites that an evaluation knows by name: those of Falcon and those that a program registers.</summary>
public static class SuiteCatalog
{
    private static readonly Lock Gate = new();

    private static KeyValuePair<string, Func<EvaluationSettings, EvaluationSuite>>[] _all =
    [
        new("tofu", TofuSuite.Open),
        new("muse", MuseSuite.Open),
        new("wmdp", WmdpSuite.Open),
        new("mmlu", MmluSuite.Open),
        new("mcq", MultipleChoiceSuite.Open),
        new("facts", FactsSuite.Open),
        new("memorization", MemorizationSuite.Open),
        new("privacy", PrivacySuite.Open),
        new("leak", LeakSuite.Open),
        new("perplexity", PerplexitySuite.Open),
        new("qa", QuestionAnswerSuite.Open),
    ];

    /// <summary>
    /// The benchmarks <c>tofu</c>, <c>muse</c>, <c>wmdp</c>, <c>mmlu</c>; on files of one's own <c>mcq</c> (multiple choice),
    /// <c>facts</c> (choice, probability and generation on a subject folder), <c>memorization</c>,
    /// <c>privacy</c> (membership inference), <c>leak</c> (sampled answers), <c>perplexity</c> and <c>qa</c> (answer probability and
    /// ROUGE-L); then the registered suites in the order of registration.
    /// </summary>
    public static IReadOnlyList<string> Names => [.. Volatile.Read(ref _all).Select(suite => suite.Key)];

    /// <summary>Adds a suite. Evaluations of this process that start later find it by its name. Thread-safe.</summary>
    /// <param name="name">Lower-case letters, digits and hyphens.</param>
    /// <param name="open">
    /// Makes the suite from the settings of an evaluation: finds its data files (<see cref="EvaluationSettings.DataOf"/>), and throws a
    /// <see cref="UserInputException"/> where they are missing. Reads no data yet.
    /// </param>
    /// <exception cref="ArgumentException">
    /// The name is taken, or holds something else than lower-case letters, digits and hyphens.
    /// </exception>
    public static void Register(string name, Func<EvaluationSettings, EvaluationSuite> open)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(open);
        lock (Gate)
        {
            CatalogName.Check(name, "a suite", Names);
            Volatile.Write(ref _all, [.. _all, new(name, open)]);
        }
    }

    /// <summary>Adds a suite of one metric over question/answer records; its name is that of the metric.</summary>
    /// <exception cref="ArgumentException">As for a suite.</exception>
    public static void Register(QuestionMetric metric)
    {
        ArgumentNullException.ThrowIfNull(metric);
        Register(metric.Name, settings => QuestionMetricSuite.Open(metric, settings));
    }

    /// <summary>The suite of a name with its data files found.</summary>
    /// <exception cref="UserInputException">The name is not known, or data files are missing.</exception>
    public static EvaluationSuite Open(string name, EvaluationSettings settings) =>
        Volatile.Read(ref _all).FirstOrDefault(suite => suite.Key == name) is { Value: { } open }
            ? open(settings)
            : throw new UserInputException($"--suite {name}: not known; known are {string.Join(", ", Names)}.");
}
