using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;

namespace Falcon.Exchange;

/// <summary>Compares the names, dtypes and shapes of the tensors of two models, or of a model and a patch.</summary>
internal static class TensorLists
{
    /// <summary>Requires two models to have the same tensors.</summary>
    /// <exception cref="UserInputException">They do not; the message names the first difference.</exception>
    public static void RequireSame(WeightFiles before, WeightFiles after)
    {
        foreach (var name in before.Names.Order(StringComparer.Ordinal))
        {
            if (!after.TryLocate(name, out var other)) throw Missing(name, inModel: after, of: before);
            var what = $"{after.Directory}: the tensor \"{name}\"";
            Compare(before.Locate(name).Entry, other.Entry.DType, other.Entry.Shape, what, before.Directory);
        }

        if (after.Names.Order(StringComparer.Ordinal).FirstOrDefault(name => !before.TryLocate(name, out _)) is { } extra)
            throw Missing(extra, inModel: before, of: after);
    }

    /// <summary>Requires a model to have the tensors of a patch.</summary>
    /// <exception cref="UserInputException">It does not; the message names the first difference.</exception>
    public static void RequireSame(PatchFile patch, WeightFiles model)
    {
        foreach (var tensor in patch.Tensors)
        {
            if (!model.TryLocate(tensor.Name, out var found))
                throw new UserInputException(
                    $"{model.Directory}: the tensor \"{tensor.Name}\" is missing; {patch.Path} belongs to another model."
                );
            Compare(found.Entry, tensor.DType, tensor.Shape, $"{patch.Path}: the tensor \"{tensor.Name}\"", model.Directory);
        }

        if (model.Names.Order(StringComparer.Ordinal).FirstOrDefault(name => patch.Find(name) is null) is { } extra)
            throw new UserInputException(
                $"{model.Directory}: the tensor \"{extra}\" is not in {patch.Path}, which belongs to another model."
            );
    }

    private static UserInputException Missing(string name, WeightFiles inModel, WeightFiles of) =>
        new($"{inModel.Directory}: the tensor \"{name}\" of {of.Directory} is missing; a patch needs two models with the same tensors.");

    private static void Compare(SafetensorsEntry entry, string dtype, IReadOnlyList<long> shape, string what, string other)
    {
        if (entry.DType != dtype || !entry.Shape.SequenceEqual(shape))
            throw new UserInputException(
                $"{what} is {dtype} [{string.Join(", ", shape)}], in {other} it is {entry.DType} [{string.Join(", ", entry.Shape)}]; "
                    + "a patch needs two models of the same shapes and dtypes."
            );
    }
}
