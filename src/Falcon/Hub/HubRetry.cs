using System.Globalization;
using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Hub;

/// <summary>
/// Repeats a request after a fault that may pass: a cut connection, a busy server (429), a fault of the server (5xx) or silence. Pauses
/// double from one failure to the next.
/// </summary>
internal sealed class HubRetry(HubSettings settings, IRunLog log)
{
    /// <summary>
    /// Runs an action until it succeeds or has failed too often. An action that fails with <see cref="ProgressMadeException"/> got further
    /// than before, so the failures are counted from the start again.
    /// </summary>
    /// <param name="what">What is requested, for messages.</param>
    /// <param name="action">The action.</param>
    /// <param name="cancellation">Ends the action and the pauses.</param>
    /// <exception cref="UserInputException">It failed too often, or the answer is not that of a hub.</exception>
    public async Task<T> Run<T>(string what, Func<Task<T>> action, CancellationToken cancellation)
    {
        for (var failed = 0; ;)
        {
            try
            {
                return await action();
            }
            catch (Exception error) when (MayPass(error, cancellation))
            {
                if (error is ProgressMadeException) failed = 0;
                if (++failed > settings.Retries)
                    throw new UserInputException(
                        $"{settings.Endpoint}: {what}: {Reason(error)} (tried {failed} times). "
                            + "Check the connection and run the same command again; what has arrived is kept.",
                        error
                    );
                var pause = Pause(failed, error);
                log.Information(
                    string.Create(CultureInfo.InvariantCulture, $"{what}: {Reason(error)}; trying again in {pause.TotalSeconds:0.#} s")
                );
                await Task.Delay(pause, cancellation);
            }
            catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                throw new UserInputException(
                    $"{settings.Endpoint}: {what}: the answer is not that of a hub ({error.Message.TrimEnd('.')}). "
                        + "Check the address (--endpoint, HF_ENDPOINT).",
                    error
                );
            }
        }
    }

    private TimeSpan Pause(int failed, Exception error)
    {
        var pause = error is BusyException { After: { } asked } ? asked : settings.FirstPause * Math.Pow(2, failed - 1);
        return pause < settings.LongestPause ? pause : settings.LongestPause;
    }

    private static bool MayPass(Exception error, CancellationToken cancellation) => error switch
    {
        HttpRequestException or IOException => true,
        OperationCanceledException => !cancellation.IsCancellationRequested, // silence
        _ => false,
    };

    private static string Reason(Exception error) => error switch
    {
        OperationCanceledException => "no data arrived for a while",
        HttpRequestException { InnerException: { } inner } => inner.Message.TrimEnd('.'),
        _ => error.Message.TrimEnd('.'),
    };
}

/// <summary>The server asks to come back later, after the given time if it says so.</summary>
internal sealed class BusyException(string message, TimeSpan? after) : IOException(message)
{
    public TimeSpan? After { get; } = after < TimeSpan.Zero ? TimeSpan.Zero : after;
}

/// <summary>A connection ended early but brought some bytes, so that the count of failures starts again.</summary>
internal sealed class ProgressMadeException(string message, Exception? inner = null) : IOException(message, inner);
