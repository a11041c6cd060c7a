using Falcon.Evaluation;
using Falcon.Evaluation.Suites;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Runs.Evaluating;

/// <summary>Which prompt form an evaluation uses.</summary>
internal static class EvaluationForm
{
    /// <summary>
    /// The settings with the form that is given, else that of the run, else auto; with a date, and with what the tokenizer decides.
    /// </summary>
    /// <exception cref="UserInputException">The form does not fit the tokenizer.</exception>
    public static EvaluationSettings Chosen(EvaluationSettings settings, RunForm? run, TimeProvider clock)
    {
        var source =
            settings.Form is not null ? settings.FormSource ?? "given"
            : run?.Form is null ? "auto"
            : run.ConfigPath;
        var form = (settings.Form ?? run?.Form ?? new()).OnDay(DateOnly.FromDateTime(clock.GetLocalNow().DateTime));
        var tokenizer = TokenizerFiles.AreIn(settings.Model) ? HfTokenizer.Load(settings.Model) : null; // token ids need none
        form.Resolve(tokenizer?.ChatTemplate is not null); // fails early
        return settings with
        {
            Form = form,
            FormSource = source,
            HasChatTemplate = tokenizer?.ChatTemplate is not null,
            PrintsDate = tokenizer?.ChatPrintsDate == true,
        };
    }

    /// <summary>The form of each suite, in words.</summary>
    public static string Describe(EvaluationSettings settings, IReadOnlyList<EvaluationSuite> suites)
    {
        var forms = suites.Select(suite => (suite.Name, Form: settings.FormOf(suite.IsBenchmark).Describe())).ToList();
        return forms.DistinctBy(one => one.Form).Count() == 1
            ? forms[0].Form
            : string.Join(", ", forms.Select(one => $"{one.Name}: {one.Form}"));
    }
}
