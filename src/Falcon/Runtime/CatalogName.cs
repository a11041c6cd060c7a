namespace Falcon.Runtime;

/// <summary>Names under which a program registers attacks and suites. They stand in options, in results and in names of files.</summary>
internal static class CatalogName
{
    /// <summary>Refuses a name that is not made of lower-case letters, digits and hyphens, or that is taken.</summary>
    /// <param name="name">The name.</param>
    /// <param name="kind">What is named, such as <c>an attack</c>, for the message.</param>
    /// <param name="taken">Names in use.</param>
    /// <exception cref="ArgumentException">The name cannot be used.</exception>
    public static void Check(string name, string kind, IEnumerable<string> taken)
    {
        if (name.Length == 0 || !name.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter == '-'))
            throw new ArgumentException($"the name \"{name}\" cannot be used for {kind}: use lower-case letters, digits and hyphens");
        if (taken.Contains(name)) throw new ArgumentException($"there is already {kind} named \"{name}\"; choose another name");
    }
}
