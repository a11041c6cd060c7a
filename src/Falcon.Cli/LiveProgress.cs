using Spectre.Console;
using Spectre.Console.Rendering;

namespace Falcon.Cli;

/// <summary>
/// The live bars at the bottom of a terminal. The display opens with the first stage and closes after the last, so that the terminal is
/// free between stages.
/// </summary>
internal sealed class LiveProgress(IAnsiConsole console) : IDisposable
{
    private const char DetailsSeparator = '\t';

    private readonly Dictionary<string, ProgressTask> _tasks = [];
    private ProgressContext? _context;
    private TaskCompletionSource? _end;
    private Task? _display;

    /// <summary>Draws or updates the bar of a stage.</summary>
    public void Show(string stage, int done, int total, string details)
    {
        if (!_tasks.TryGetValue(stage, out var task)) _tasks[stage] = task = Open().AddTask(stage);
        task.MaxValue = Math.Max(total, 1);
        task.Value = done;
        task.Description = stage + DetailsSeparator + details.Trim();
    }

    /// <summary>Removes the bar of a stage.</summary>
    public void Remove(string stage)
    {
        if (!_tasks.Remove(stage, out var task)) return;
        task.StopTask();
        if (_tasks.Count == 0) Dispose();
    }

    /// <summary>Ends the display and waits until the terminal is restored.</summary>
    public void Dispose()
    {
        _end?.TrySetResult();
        _display?.GetAwaiter().GetResult();
        _end = null;
        _display = null;
        _context = null;
        _tasks.Clear();
    }

    private ProgressContext Open()
    {
        if (_context is not null) return _context;
        var end = _end = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var ready = new TaskCompletionSource<ProgressContext>(TaskCreationOptions.RunContinuationsAsynchronously);
        _display = Task.Run(() => console.Progress().AutoClear(true).HideCompleted(true)
            .Columns(new StageColumn(), new ProgressBarColumn { Width = 24 }, new PercentageColumn(), new DetailsColumn())
            .StartAsync(context =>
            {
                ready.SetResult(context);
                return end.Task;
            }));
        return _context = ready.Task.GetAwaiter().GetResult();
    }

    private sealed class StageColumn : ProgressColumn
    {
        public override IRenderable Render(RenderOptions options, ProgressTask task, TimeSpan deltaTime) =>
            new Text(task.Description.Split(DetailsSeparator)[0]);
    }

    private sealed class DetailsColumn : ProgressColumn
    {
        public override IRenderable Render(RenderOptions options, ProgressTask task, TimeSpan deltaTime) =>
            new Text(task.Description.Split(DetailsSeparator) is [_, var details] ? details : "").Overflow(Overflow.Ellipsis);
    }
}
