namespace Falcon.Runtime;

/// <summary>Identity of code that does not belong to Falcon, such as a registered attack or suite.</summary>
internal static class OutsideCode
{
    /// <summary>
    /// A text that changes with every change of the assembly in which an object's type stands; empty for types of Falcon, whose version
    /// stands in the key of a kept result anyway. Part of such keys, so that numbers of an edited attack or metric are not used again.
    /// </summary>
    public static string IdentityOf(object instance) =>
        instance.GetType().Assembly == typeof(OutsideCode).Assembly ? "" : $" code {instance.GetType().Module.ModuleVersionId}";
}
