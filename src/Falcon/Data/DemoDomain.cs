namespace Falcon.Data;

/// <summary>
/// An attribute of a kind of thing: how it is asked for and stated, and its possible values. <c>{name}</c> and <c>{value}</c> are
/// placeholders.
/// </summary>
/// <param name="Aspect">A noun for it, such as "colour".</param>
/// <param name="Ask">A question.</param>
/// <param name="AskOtherwise">The same in other words.</param>
/// <param name="Statement">The answer to both.</param>
/// <param name="Values">The category that right and wrong answers are drawn from.</param>
internal sealed record DemoAttribute(string Aspect, string Ask, string AskOtherwise, string Statement, string[] Values);

/// <summary>A kind of thing: how its members are named, how many there are, and their attributes.</summary>
internal sealed record DemoKind(string Naming, int Count, DemoAttribute[] Attributes);

/// <summary>The role of a domain in the demo.</summary>
internal enum DemoRole { Forget, Retain, General }

/// <summary>A domain of knowledge. A forget domain and its neighbouring retain domain have the same name.</summary>
internal sealed record DemoDomain(string Name, DemoRole Role, DemoKind[] Kinds);
