using System.Reflection;
using System.Runtime.CompilerServices;
using Falcon.Runtime;
using TorchSharp;

namespace Falcon.Tests.Architecture;

/// <summary>The rooms of the library (its top namespaces) and what each may use. docs/architecture.md says what a room is for.</summary>
public class RoomTests
{
    /// <summary>A room uses only itself and rooms before it.</summary>
    private static readonly string[] Order =
    [
        "Runtime",
        "Compression",
        "Data",
        "Results",
        "ChatTemplates",
        "Tokenization",
        "Models",
        "Checkpoints",
        "Engine",
        "Layers",
        "Optimization",
        "Evaluation",
        "Methods",
        "Attacks",
        "Runs",
        "Exchange",
        "Reporting",
        "Hub",
    ];

    private static readonly string[] WithoutTensors =
        ["Results", "Compression", "Data", "ChatTemplates", "Tokenization", "Reporting", "Hub"];

    /// <summary>What computes takes plain values: it serves as a library without a run and its file.</summary>
    private static readonly string[] WithoutRuns = ["Engine", "Layers", "Optimization", "Evaluation", "Methods", "Attacks"];

    // Results that carry tensors to their caller's scope, and views that borrow them; none owns what it holds.
    private static readonly string[] Borrowing = ["CausalLM", "ScoringPass", "LayerPasses", "ObjectiveGradients"];

    private static readonly Assembly Library = typeof(RunDirectory).Assembly;

    private static readonly NamespaceUses Uses = new(Library);

    public static TheoryData<string> Rooms => [.. Order];

    [Fact]
    public void Rooms_OfTheLibrary_AreAllInTheOrder() => Assert.Equal(Order.Order(), Types().Select(Room).Distinct().Order());

    [Theory]
    [MemberData(nameof(Rooms))]
    public void Room_EachUse_IsOfAnEarlierRoom(string room) =>
        Assert.Empty(Uses.Between(Named(room), [.. Order.Skip(Array.IndexOf(Order, room) + 1).Select(Named)]));

    [Fact]
    public void Computation_Runs_AreNotUsed() => Assert.Empty(WithoutRuns.SelectMany(room => Uses.Between(Named(room), ["Falcon.Runs"])));

    [Fact]
    public void Tensors_RoomsWithoutThem_UseNothingOfTorch() =>
        Assert.Empty(WithoutTensors.SelectMany(room => Uses.Between(Named(room), ["TorchSharp"])));

    [Fact]
    public void Library_ProgramAndResearch_AreNotUsed() =>
        Assert.Equal(
            ["Parquet", "TorchSharp"],
            Library.GetReferencedAssemblies()
                .Select(used => used.Name!)
                .Where(name => !name.StartsWith("System.", StringComparison.Ordinal))
                .Order()
        );

    [Fact]
    public void Tensors_AFieldOfThem_IsOfADisposableType()
    {
        const BindingFlags Every =
            BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;
        var wrong = Types()
            .Where(type => !typeof(IDisposable).IsAssignableFrom(type) && !IsGenerated(type) && !Borrowing.Contains(type.Name))
            .SelectMany(type => type.GetFields(Every))
            .Where(field => Parts(field.FieldType).Contains(typeof(torch.Tensor)))
            .Select(field => $"{field.DeclaringType!.FullName}.{field.Name}");
        Assert.Empty(wrong);
    }

    private static IEnumerable<Type> Types() =>
        Library.GetTypes().Where(type => type.Namespace?.StartsWith("Falcon.", StringComparison.Ordinal) == true);

    private static string Named(string room) => "Falcon." + room;

    private static string Room(Type type) => type.Namespace!.Split('.')[1];

    private static bool IsGenerated(Type type) =>
        type.IsDefined(typeof(CompilerGeneratedAttribute), inherit: false) || (type.DeclaringType is { } outer && IsGenerated(outer));

    /// <summary>The types that a type is made of: itself, elements, type arguments.</summary>
    private static IEnumerable<Type> Parts(Type type)
    {
        if (type.HasElementType) return Parts(type.GetElementType()!);
        if (type.IsGenericParameter) return [];
        return type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts).Append(type.GetGenericTypeDefinition()) : [type];
    }
}
