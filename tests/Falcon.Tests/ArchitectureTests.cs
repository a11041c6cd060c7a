using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using Falcon.Checkpoints;
using Falcon.Runtime;
using TorchSharp;

namespace Falcon.Tests;

/// <summary>
/// The order of the folders of the library: a folder uses only folders of earlier lines. Read from signatures, fields and the code of every
/// method.
/// </summary>
public class ArchitectureTests
{
    // Folders of one line may use each other in one direction.
    private static readonly string[][] Lines =
    [
        ["Runtime"],
        ["Hub"],
        ["Configuration", "Data", "Tokenization"],
        ["Models"],
        ["LayerSelection", "Optimization", "Evaluation"],
        ["Methods"],
        ["Unlearning"],
        ["Training"],
        ["Exchange"],
        ["Benchmarks"],
        ["Attacks"],
        ["Reporting"],
    ];

    private static readonly string[] WithoutTensors = ["Hub", "Configuration", "Data", "Tokenization", "Reporting"];

    // Results that carry tensors to their caller's scope, and views that borrow them; none owns what it holds.
    private static readonly string[] Borrowing = ["CausalLM", "ScoringPass", "LayerPasses", "ObjectiveGradients"];

    private static readonly Dictionary<short, OpCode> OpCodesByValue = typeof(OpCodes)
        .GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(code => code.Value);

    private static readonly Lazy<List<(Type User, Type Used)>> Uses = new(() =>
        [.. Types().SelectMany(type => UsedBy(type).SelectMany(Parts).Distinct().Select(used => (type, used)))]
    );

    private const BindingFlags Everything =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static IEnumerable<Type> Types() =>
        typeof(RunDirectory).Assembly.GetTypes().Where(type => type.Namespace?.StartsWith("Falcon.", StringComparison.Ordinal) == true);

    [Fact]
    public void Folders_Known_HaveAPlaceInTheOrder() =>
        Assert.Empty(Types().Select(Folder).Distinct().Except(Lines.SelectMany(line => line)));

    [Fact]
    public void Folders_EachUse_IsOfAnEarlierLine()
    {
        var wrong = BetweenFolders()
            .Where(use => LineOf(use.User) < LineOf(use.Used))
            .Select(use => $"{use.Example.User.FullName} uses {use.Example.Used.FullName}");
        Assert.Empty(wrong);
    }

    [Fact]
    public void Folders_OfOneLine_AreNotInACircle()
    {
        var uses = BetweenFolders().Where(use => LineOf(use.User) == LineOf(use.Used)).Select(use => (use.User, use.Used)).ToHashSet();
        Assert.DoesNotContain(uses, use => uses.Contains((use.Used, use.User)));
        foreach (var line in Lines.Where(line => line.Length == 3))
            Assert.False(
                uses.Contains((line[0], line[1])) && uses.Contains((line[1], line[2])) && uses.Contains((line[2], line[0])),
                string.Join(", ", line)
            );
    }

    [Fact]
    public void Tensors_FoldersWithoutThem_NameNoTypeOfTorch() =>
        Assert.Empty(
            Uses.Value.Where(use => WithoutTensors.Contains(Folder(use.User)) && use.Used.Assembly == typeof(torch).Assembly)
                .Select(use => $"{use.User.FullName} uses {use.Used.FullName}")
        );

    [Fact]
    public void Tensors_AFieldOfThem_IsOfADisposableType()
    {
        var wrong = Types()
            .Where(type => !typeof(IDisposable).IsAssignableFrom(type) && !IsGenerated(type) && !Borrowing.Contains(type.Name))
            .SelectMany(type =>
                type.GetFields(Everything)
                    .Where(field => Parts(field.FieldType).Contains(typeof(torch.Tensor)))
                    .Select(field => $"{type.FullName}.{field.Name}")
            );
        Assert.Empty(wrong);
    }

    [Fact]
    public void Uses_KnownOnes_AreFound()
    {
        // The reader of the code itself: one use from a signature, one only from a method body, one from a closure.
        var found = BetweenFolders().Select(use => (use.User, use.Used)).ToList();
        Assert.Contains(("Unlearning", "Configuration"), found);
        Assert.Contains(Uses.Value, use =>
            use.User.FullName!.StartsWith("Falcon.Unlearning.UnlearnRun", StringComparison.Ordinal) && use.Used == typeof(CheckpointWriter)
        );
        Assert.Contains(Uses.Value, use =>
            use.User.FullName!.StartsWith("Falcon.Models.ModelInspection", StringComparison.Ordinal) && use.Used == typeof(ContentHash)
        );
    }

    private static IEnumerable<(string User, string Used, (Type User, Type Used) Example)> BetweenFolders() =>
        from use in Uses.Value
        where
            use.Used.Assembly == typeof(RunDirectory).Assembly
            && use.Used.Namespace?.StartsWith("Falcon.", StringComparison.Ordinal) == true
            && Folder(use.User) != Folder(use.Used)
        group use by (User: Folder(use.User), Used: Folder(use.Used)) into pair
        select (pair.Key.User, pair.Key.Used, pair.First());

    private static string Folder(Type type) => type.Namespace!.Split('.')[1];

    private static int LineOf(string folder) => Array.FindIndex(Lines, line => line.Contains(folder));

    private static bool IsGenerated(Type type) =>
        type.IsDefined(typeof(CompilerGeneratedAttribute), inherit: false) || (type.DeclaringType is { } outer && IsGenerated(outer));

    /// <summary>The types that a type is made of: itself, elements, type arguments.</summary>
    private static IEnumerable<Type> Parts(Type type)
    {
        if (type.HasElementType) return Parts(type.GetElementType()!);
        if (type.IsGenericParameter) return [];
        return type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts).Append(type.GetGenericTypeDefinition()) : [type];
    }

    private static IEnumerable<Type> UsedBy(Type type)
    {
        if (type.BaseType is { } parent) yield return parent;
        foreach (var contract in type.GetInterfaces()) yield return contract;
        foreach (var field in type.GetFields(Everything)) yield return field.FieldType;
        foreach (var method in type.GetMethods(Everything).Cast<MethodBase>().Concat(type.GetConstructors(Everything)))
        {
            if (method is MethodInfo { ReturnType: var result }) yield return result;
            foreach (var parameter in method.GetParameters()) yield return parameter.ParameterType;
            foreach (var used in UsedByCode(method)) yield return used;
        }
    }

    private static IEnumerable<Type> UsedByCode(MethodBase method)
    {
        if (method.GetMethodBody() is not { } body) yield break;
        foreach (var local in body.LocalVariables) yield return local.LocalType;
        foreach (var token in Tokens(body.GetILAsByteArray()!))
        {
            var member = method.Module.ResolveMember(
                token,
                method.DeclaringType?.GetGenericArguments(),
                method is MethodInfo { IsGenericMethod: true } ? method.GetGenericArguments() : null
            );
            if (member is Type type)
                yield return type;
            if (member?.DeclaringType is { } declaring)
                yield return declaring;
            if (member is FieldInfo field)
                yield return field.FieldType;
            if (member is not MethodBase called)
                continue;
            if (called is MethodInfo { ReturnType: var result })
                yield return result;
            foreach (var argument in called.IsGenericMethod ? called.GetGenericArguments() : [])
                yield return argument;
        }
    }

    /// <summary>The metadata tokens of types, fields and methods in a method's code.</summary>
    private static IEnumerable<int> Tokens(byte[] code)
    {
        for (var at = 0; at < code.Length;)
        {
            var opcode = code[at] == 0xFE ? OpCodesByValue[(short)((0xFE << 8) | code[at + 1])] : OpCodesByValue[code[at]];
            at += opcode.Size;
            if (
                opcode.OperandType is OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType
            )
                yield return BitConverter.ToInt32(code, at);
            at += opcode.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(code, at)),
                _ => 4,
            };
        }
    }
}
