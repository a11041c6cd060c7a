using Falcon.Runtime;

namespace Falcon.ChatTemplates;

/// <summary>
/// A chat template refused a conversation by calling <c>raise_exception</c>, for example because the roles do not alternate. The message is
/// the template's own. Exit code 2.
/// </summary>
public sealed class ChatTemplateException(string message) : FalconException(message)
{
    /// <inheritdoc/>
    public override int ExitCode => 2;
}
