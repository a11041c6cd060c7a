using Falcon.Methods.Gradients;

namespace Falcon.Methods.Terms;

/// <summary>
/// The kinds of terms by their names in run files. The library's own are registered here; a program adds one with
/// <see cref="Register{T}"/> before it reads a run file that names it.
/// </summary>
public static class TermKinds
{
    private static readonly Lock Gate = new();
    private static readonly Dictionary<Type, string> Names = [];
    private static int _version;

    static TermKinds() => TermList.Register();

    /// <summary>Grows with every registration; readers of run files follow it.</summary>
    internal static int Version => _version;

    /// <summary>Registers a kind.</summary>
    /// <typeparam name="T">The record of its settings, with defaults for all of them.</typeparam>
    /// <param name="name">Its name in run files, camelCase.</param>
    /// <exception cref="ArgumentException">The name is not camelCase, or name or type are registered already.</exception>
    public static void Register<T>(string name)
        where T : Term, new()
    {
        if (name.Length == 0 || !char.IsAsciiLetterLower(name[0]) || !name.All(char.IsAsciiLetterOrDigit))
            throw new ArgumentException($"\"{name}\" is no name of a term: it must be camelCase, letters and digits.", nameof(name));
        lock (Gate)
        {
            if (Names.ContainsKey(typeof(T))) throw new ArgumentException($"{typeof(T).Name} is registered already.", nameof(name));
            if (Names.Any(item => item.Value == name && ListOf(item.Key) == ListOf(typeof(T))))
                throw new ArgumentException($"\"{name}\" is the name of another term; choose one of its own.", nameof(name));
            Names.Add(typeof(T), name);
            _version++;
        }
    }

    /// <summary>The name of a term's kind.</summary>
    /// <exception cref="ArgumentException">The kind is not registered.</exception>
    public static string NameOf(Term term)
    {
        lock (Gate)
            return Names.TryGetValue(term.GetType(), out var name)
                ? name
                : throw new ArgumentException($"{term.GetType().Name} is not registered; call TermKinds.Register first.", nameof(term));
    }

    /// <summary>The kinds that a list may hold, by name.</summary>
    /// <param name="list">
    /// <see cref="ForgetTerm"/>, <see cref="RetainTerm"/>, <see cref="GradientFilter"/> or <see cref="WeightEdit"/>.
    /// </param>
    public static IReadOnlyDictionary<string, Type> Of(Type list)
    {
        lock (Gate)
            return Names.Where(item => item.Key.IsSubclassOf(list)).ToDictionary(item => item.Value, item => item.Key);
    }

    private static Type ListOf(Type type)
    {
        while (type.BaseType != typeof(Term)) type = type.BaseType!;
        return type;
    }
}
