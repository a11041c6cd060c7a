using Falcon.Models;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Research.League;

/// <summary>
/// A run in memory, by the recipe of <see cref="UnlearningSession"/>, measured at several steps and written nowhere. What is measured is
/// what a run of so many steps would save.
/// </summary>
/// <param name="context">Log, device, dtype, cancellation.</param>
internal sealed class MeasuredTraining(RunContext context)
{
    /// <summary>Trains, and calls <paramref name="measure"/> at each of the steps.</summary>
    /// <param name="config">The whole configuration; its steps decide the schedule of the learning rate.</param>
    /// <param name="steps">Finished steps at which the model is measured, ascending; the last ends the run.</param>
    /// <param name="measure">Gets the step and the model; false ends the run.</param>
    /// <returns>Seconds of training, without measuring.</returns>
    /// <exception cref="UserInputException">A setting or file is wrong, or a run in memory cannot honour a setting.</exception>
    /// <exception cref="NumericalFailureException">The run diverged.</exception>
    public double Run(UnlearnConfig config, IReadOnlyList<int> steps, Func<int, CausalLM, HfTokenizer, bool> measure)
    {
        var begin = context.Clock.GetTimestamp();
        var measuring = TimeSpan.Zero;
        using var place = RunPlace.InMemory();
        using var session = UnlearningSession.Open(config, place, context, measuresModel: true);
        session.ReadTexts();
        session.PlanMemory();
        session.OpenModels();
        session.ChooseLayer(intervals: false);
        using var training = session.Prepare();
        var made = 0;
        foreach (var step in steps)
        {
            for (; made < step; made++)
            {
                context.Cancellation.ThrowIfCancellationRequested();
                training.Step(made);
                context.Log.Progress("unlearning", made + 1, steps[^1]);
            }

            var measured = context.Clock.GetTimestamp();
            var goesOn = training.MeasureAsFinished(model => measure(step, model, session.Tokenizer));
            measuring += context.Clock.GetElapsedTime(measured);
            if (!goesOn) break;
        }

        return (context.Clock.GetElapsedTime(begin) - measuring).TotalSeconds;
    }
}
