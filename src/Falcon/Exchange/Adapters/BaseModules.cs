using Falcon.Checkpoints;
using Falcon.Models;
using Falcon.Models.Families;

namespace Falcon.Exchange.Adapters;

/// <summary>The modules of a base model under the names that the Hugging Face library's class gives them.</summary>
internal sealed class BaseModules
{
    private BaseModules(IReadOnlyList<BaseModule> all) =>
        (All, Paths) = (all, [.. all.SelectMany(module => Above(module.Name)).Distinct()]);

    /// <summary>The modules with parameters.</summary>
    public IReadOnlyList<BaseModule> All { get; }

    /// <summary>The paths of all modules, those that only hold others too.</summary>
    public IReadOnlyList<string> Paths { get; }

    /// <summary>The names that adapters may use, today's class first: a model with images has had others before.</summary>
    public static IEnumerable<BaseModules> Variants(Checkpoint checkpoint) =>
        Prefixes(checkpoint.Config.Architecture).Select(names => Of(checkpoint.Config, names.Base, names.Head));

    /// <summary>
    /// The name of a module in today's class by its name in the weight files; null where the file's name belongs to no class that is known.
    /// </summary>
    /// <param name="config">The model.</param>
    /// <param name="module">Its name in the files, without <c>.weight</c>.</param>
    public static string? InClass(ModelConfig config, string module)
    {
        var names = config.Architecture;
        var (prefix, head) = Prefixes(names).First();
        if (module == names.OutputHead || module == "language_model." + names.OutputHead)
            return head;
        var start = names
            .OtherBases.Append(names.Base)
            .Append(names.ClassBase)
            .Append("model.")
            .Where(start => start.Length > 0 && module.StartsWith(start, StringComparison.Ordinal))
            .MaxBy(start => start.Length);
        var inner = module[(start?.Length ?? 0)..];
        return inner.StartsWith(names.LayerList, StringComparison.Ordinal) || inner == names.TokenEmbedding || inner == names.LastNorm
            ? prefix + inner
            : null;
    }

    private static IEnumerable<(string Base, string Head)> Prefixes(ArchitectureDescription names) =>
        names.Foreign.Count == 0
            ? [(names.ClassBase, names.OutputHead)]
            :
            [
                (names.ClassBase, names.OutputHead),
                ("language_model.model.", "language_model." + names.OutputHead),
                ("model.", names.OutputHead),
            ];

    private static BaseModules Of(ModelConfig config, string prefix, string head)
    {
        var names = config.Architecture;
        var expected = WeightNames.Expected(config);
        var withBias = expected
            .Where(item => item.Name.EndsWith(".bias", StringComparison.Ordinal))
            .Select(item => item.Name[..^".bias".Length])
            .ToHashSet();
        List<BaseModule> all = [];
        foreach (var (name, shape) in expected)
        {
            if (!name.EndsWith(".weight", StringComparison.Ordinal))
                continue;
            var tensor = name[..^".weight".Length];
            var isHead = name == names.HeadWeight;
            var path = isHead ? head : prefix + tensor[names.Base.Length..];
            all.Add(
                new BaseModule(path, tensor, KindOf(names, name, shape, isHead), withBias.Contains(tensor))
                {
                    IsHead = isHead,
                    IsEmbedding = name == names.EmbeddingWeight,
                }
            );
        }

        if (config.TiedEmbeddings)
            all.Add(new BaseModule(head, names.OutputHead, ModuleKind.Linear, HasBias: false) { IsHead = true });
        return new BaseModules(all);
    }

    private static ModuleKind KindOf(ArchitectureDescription names, string name, long[] shape, bool isHead) =>
        name == names.EmbeddingWeight || name == names.PositionWeight ? ModuleKind.Embedding
        : shape.Length != 2 ? ModuleKind.Other
        : names.Transposed && !isHead ? ModuleKind.Transposed
        : ModuleKind.Linear;

    private static IEnumerable<string> Above(string path)
    {
        for (var end = path.Length; end > 0; end = path.LastIndexOf('.', end - 1))
            yield return path[..end];
    }
}
