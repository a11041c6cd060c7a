using Falcon.Methods.Baselines;
using Falcon.Methods.Falcon;
using Falcon.Methods.Preference;
using Falcon.Runtime;

namespace Falcon.Methods;

/// <summary>
/// Every unlearning method by its name. The library's own are one line each; a program adds one with <see cref="Register"/>. Help, the
/// table of docs/baselines.md, validation and trial grids derive from here.
/// </summary>
public static class MethodCatalog
{
    private static readonly Lock Gate = new();

    private static readonly List<UnlearningMethod> Methods =
    [
        FalconMethod.Method,
        GradientAscent.Alone,
        GradientAscent.Difference,
        GradientAscent.Divergence,
        Npo.Method,
        SimNpo.Method,
        IdkDpo.Method,
        AltPo.Method,
        Rmu.Method,
        Rmu.Adaptive,
        Undial.Method,
        Wga.Method,
        SatImp.Method,
        CeU.Method,
        Pdu.Method,
        JensUn.Method,
        Llmu.Method,
        Scrub.Method,
        Ssd.Method,
        TaskVector.Method,
        CircuitBreakers.Method,
    ];

    /// <summary>Every method, FALCON first.</summary>
    public static IReadOnlyList<UnlearningMethod> All
    {
        get
        {
            lock (Gate) return [.. Methods];
        }
    }

    /// <summary>The method of a run that names none.</summary>
    public static UnlearningMethod Default => FalconMethod.Method;

    /// <summary>The names of all methods.</summary>
    public static IReadOnlyList<string> Names => [.. All.Select(method => method.Name)];

    /// <summary>Adds a method.</summary>
    /// <exception cref="ArgumentException">The name is taken.</exception>
    public static void Register(UnlearningMethod method)
    {
        lock (Gate)
        {
            if (Methods.Any(known => known.Name == method.Name))
                throw new ArgumentException($"\"{method.Name}\" is the name of another method.", nameof(method));
            Methods.Add(method);
        }
    }

    /// <summary>The method of a name.</summary>
    /// <exception cref="UserInputException">There is no such method.</exception>
    public static UnlearningMethod Find(string name) =>
        All.FirstOrDefault(method => method.Name == name)
        ?? throw new UserInputException($"--method {name}: not known; known are {string.Join(", ", Names)}.");

    /// <summary>A preset of a method.</summary>
    /// <param name="method">The method's name.</param>
    /// <param name="preset">The preset's name; null for the default.</param>
    /// <exception cref="UserInputException">There is no such method or preset.</exception>
    public static MethodPreset Preset(string method, string? preset = null)
    {
        var found = Find(method);
        if (preset is null) return found.Default;
        if (found.Presets.FirstOrDefault(one => one.Name == preset) is { } own) return own;
        var other = All.FirstOrDefault(one => one.Presets.Count > 1 && one.Presets.Any(of => of.Name == preset));
        throw new UserInputException(
            $"--preset {preset}: "
                + (other is null ? "not known" : $"it is of the method {other.Name}")
                + $"; the method {method} has {string.Join(", ", found.Presets.Select(one => one.Name))}."
        );
    }
}
