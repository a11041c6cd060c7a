namespace Falcon.Runtime;

/// <summary>Base of the errors that Falcon raises on purpose; the command line maps each kind to an exit code.</summary>
public abstract class FalconException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The exit code of the command line for this kind of error.</summary>
    public abstract int ExitCode { get; }
}

/// <summary>Wrong input from the user. The message says what is wrong, where (file, line, field) and what to do. Exit code 2.</summary>
public sealed class UserInputException(string message, Exception? inner = null) : FalconException(message, inner)
{
    /// <inheritdoc/>
    public override int ExitCode => 2;
}

/// <summary>A checkpoint that is damaged or not supported. The message names the file and the key. Exit code 2.</summary>
public sealed class UnsupportedCheckpointException(string message, Exception? inner = null) : FalconException(message, inner)
{
    /// <inheritdoc/>
    public override int ExitCode => 2;
}

/// <summary>
/// Failed arithmetic, such as a non-finite loss, a singular covariance or divergence. The message gives step and magnitudes. Exit code 3.
/// </summary>
public sealed class NumericalFailureException(string message, Exception? inner = null) : FalconException(message, inner)
{
    /// <inheritdoc/>
    public override int ExitCode => 3;
}
