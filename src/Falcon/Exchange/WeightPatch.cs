using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;

namespace Falcon.Exchange;

/// <summary>What a patch changes, in a few numbers.</summary>
/// <param name="Path">The patch file, as a full path.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Tensors">Number of tensors of the model.</param>
/// <param name="Changed">Names of the changed tensors.</param>
/// <param name="ChangedParameters">Number of weights in them.</param>
/// <param name="HasRun">Whether the settings of the run are in the patch.</param>
public sealed record PatchSummary(string Path, long Bytes, int Tensors, IReadOnlyList<string> Changed, long ChangedParameters, bool HasRun);

/// <summary>A model directory that a patch made.</summary>
/// <param name="Model">The directory, as a full path.</param>
/// <param name="Changed">Names of the tensors that were changed.</param>
/// <param name="Bytes">Bytes of the weight files.</param>
public sealed record PatchedModel(string Model, IReadOnlyList<string> Changed, long Bytes);

/// <summary>What a model is to a patch.</summary>
/// <param name="Model">The directory as it was given.</param>
/// <param name="State"><c>base</c>: the patch can be applied to it; <c>result</c>: the patch can be reverted on it.</param>
/// <param name="Tensors">Number of tensors that were compared.</param>
public sealed record PatchVerification(string Model, string State, int Tensors);

/// <summary>Makes, applies, reverts and verifies patches, tensor by tensor: no tensor is ever in memory as a whole.</summary>
public static class WeightPatch
{
    /// <summary>Writes the change from one model to another of the same tensors.</summary>
    /// <param name="baseDirectory">The model before.</param>
    /// <param name="modelDirectory">The model after.</param>
    /// <param name="path">
    /// The file to write; where it is a directory that exists or ends in a separator, <c>patch.safetensors</c> in it.
    /// </param>
    /// <param name="context">Log and cancellation.</param>
    /// <exception cref="UserInputException">
    /// A directory or file is missing, the models have different tensors (the first is named), nothing differs, or the file exists.
    /// </exception>
    /// <exception cref="UnsupportedCheckpointException">A weight file is damaged.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; nothing is written.</exception>
    public static PatchSummary Create(string baseDirectory, string modelDirectory, string path, RunContext context)
    {
        var file = Path.EndsInDirectorySeparator(path) || Directory.Exists(path) ? Path.Combine(path, "patch.safetensors") : path;
        file = Path.GetFullPath(file);
        if (File.Exists(file)) throw new UserInputException($"{file}: the file exists; choose another --out or remove it.");
        using var before = WeightFiles.Open(baseDirectory);
        using var after = WeightFiles.Open(modelDirectory);
        RequireSameTensors(before, after);
        string[] names = [.. before.Names.Order(StringComparer.Ordinal)];
        List<PatchedTensor> tensors = [];
        foreach (var name in names)
        {
            var (first, second) = (before.Locate(name), after.Locate(name));
            tensors.Add(
                new PatchedTensor(
                    name,
                    first.Entry.DType,
                    first.Entry.Shape,
                    TensorBytePairs.Sha256(first, context.Cancellation),
                    TensorBytePairs.Sha256(second, context.Cancellation)
                )
            );
            context.Log.Progress("comparing", tensors.Count, names.Length, name);
        }

        List<PatchedTensor> changed = [.. tensors.Where(tensor => tensor.IsChanged)];
        if (changed.Count == 0)
            throw new UserInputException(
                $"{modelDirectory}: every tensor is that of {baseDirectory}; there is no change to store. Name the model after unlearning "
                    + $"with --model."
            );
        var run = RunTemplate.Of(modelDirectory)?.ConfigPath;
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        SafetensorsWriter.Write(
            file,
            [.. changed.Select(tensor => Source(tensor, before.Locate(tensor.Name), after.Locate(tensor.Name), context))],
            PatchFile.Metadata(tensors, run is null ? null : File.ReadAllText(run)),
            keepOrder: true
        );
        return new PatchSummary(
            file,
            new FileInfo(file).Length,
            tensors.Count,
            [.. changed.Select(tensor => tensor.Name)],
            changed.Sum(tensor => tensor.Shape.Aggregate(1L, (product, size) => product * size)),
            run is not null
        );
    }

    /// <summary>Makes the model after from the model before and the patch.</summary>
    /// <param name="patchPath">The patch file.</param>
    /// <param name="baseDirectory">The model before. Its other files are copied.</param>
    /// <param name="outDirectory">
    /// The model directory to write; it appears whole or not at all. Files, their names and the order in them are those of the model
    /// before.
    /// </param>
    /// <param name="context">Log and cancellation.</param>
    /// <exception cref="UserInputException">
    /// The model is not the one that the patch was made for; the message names the tensor. Or the output exists.
    /// </exception>
    /// <exception cref="UnsupportedCheckpointException">The patch or a weight file is damaged.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; nothing is written.</exception>
    public static PatchedModel Apply(string patchPath, string baseDirectory, string outDirectory, RunContext context) =>
        Transform(patchPath, baseDirectory, outDirectory, revert: false, context);

    /// <summary>
    /// Makes the model before from the model after and the patch; the opposite of <see cref="Apply"/>, with the same errors.
    /// </summary>
    /// <param name="patchPath">The patch file.</param>
    /// <param name="modelDirectory">The model after.</param>
    /// <param name="outDirectory">The model directory to write.</param>
    /// <param name="context">Log and cancellation.</param>
    public static PatchedModel Revert(string patchPath, string modelDirectory, string outDirectory, RunContext context) =>
        Transform(patchPath, modelDirectory, outDirectory, revert: true, context);

    /// <summary>Tells whether a model is the one before or the one after a patch, by the hashes of all its tensors.</summary>
    /// <exception cref="UserInputException">
    /// It is neither; the message names the first tensor that fits neither, or one that fits only the other state.
    /// </exception>
    /// <exception cref="UnsupportedCheckpointException">The patch or a weight file is damaged.</exception>
    public static PatchVerification Verify(string patchPath, string modelDirectory, RunContext context)
    {
        using var patch = PatchFile.Open(patchPath);
        using var model = WeightFiles.Open(modelDirectory);
        RequireTensorsOf(patch, model);
        string? state = null;
        var done = 0;
        foreach (var tensor in patch.Tensors)
        {
            var hash = TensorBytePairs.Sha256(model.Locate(tensor.Name), context.Cancellation);
            context.Log.Progress("verifying", ++done, patch.Tensors.Count, tensor.Name);
            var found =
                hash == tensor.Base ? "base"
                : hash == tensor.Result ? "result"
                : throw new UserInputException(
                    $"{modelDirectory}: the tensor \"{tensor.Name}\" is neither that of the model before nor that of the model after "
                        + $"{patchPath}; this patch belongs to another model."
                );
            if (!tensor.IsChanged)
                continue;
            if (state is not null && state != found)
                throw new UserInputException(
                    $"{modelDirectory}: the tensor \"{tensor.Name}\" is that of the {found} of {patchPath}, others are those of its "
                        + $"{state}; the model was put together from two."
                );
            state = found;
        }

        return new PatchVerification(modelDirectory, state!, patch.Tensors.Count);
    }

    private static PatchedModel Transform(string patchPath, string sourceDirectory, string outDirectory, bool revert, RunContext context)
    {
        using var patch = PatchFile.Open(patchPath);
        using var source = WeightFiles.Open(sourceDirectory);
        RequireTensorsOf(patch, source);
        using var output = RunDirectory.Create(outDirectory);
        var bytes = source.Files.Sum(file => file.DataStart + file.Entries.Sum(entry => entry.ByteLength));
        output.RequireFreeSpace(bytes, "the model");
        CheckpointWriter.CopyOtherFiles(source.Directory, output.WorkingPath);
        var done = 0;
        foreach (var file in source.Files)
        {
            using var stream = new FileStream(
                output.PathOf(Path.GetFileName(file.Path)),
                FileMode.CreateNew,
                FileAccess.Write,
                FileShare.None,
                bufferSize: 0
            );
            using (var original = File.OpenRead(file.Path))
                CopyHeader(original, file.DataStart, stream);
            foreach (var entry in file.Entries)
            {
                WriteTensor(patch, file, entry, stream, revert, sourceDirectory, context);
                context.Log.Progress(revert ? "reverting" : "applying", ++done, patch.Tensors.Count, entry.Name);
            }

            stream.Flush(flushToDisk: true);
        }

        output.Commit();
        return new PatchedModel(
            output.FinalPath,
            [.. patch.Tensors.Where(tensor => tensor.IsChanged).Select(tensor => tensor.Name)],
            bytes
        );
    }

    // The entries of a file cover its data without a gap, so header and tensors in their order are the whole file.
    private static void WriteTensor(
        PatchFile patch,
        SafetensorsFile file,
        SafetensorsEntry entry,
        FileStream stream,
        bool revert,
        string sourceDirectory,
        RunContext context
    )
    {
        var tensor = patch.Find(entry.Name)!;
        using var before = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
        using var after = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
        TensorBytePairs.WriteXor(
            (file, entry),
            tensor.IsChanged ? patch.Difference(tensor) : null,
            stream,
            context.Cancellation,
            (read, written, count) =>
            {
                before.AppendData(read, 0, count);
                if (tensor.IsChanged)
                    after.AppendData(written, 0, count);
            }
        );
        var found = Convert.ToHexStringLower(before.GetHashAndReset());
        var (due, made) = revert ? (tensor.Result, tensor.Base) : (tensor.Base, tensor.Result);
        if (found != due)
            throw new UserInputException(
                $"{sourceDirectory}: the tensor \"{tensor.Name}\" is not the one that {patch.Path} "
                    + $"{(revert ? "leads to" : "was made from")} "
                    + $"({(found == made ? revert ? "the model is the one before already" : "the patch is applied already" : "SHA-256 " + found[..12] + "…, not " + due[..12] + "…")}); nothing was written."
            );
        if (tensor.IsChanged && Convert.ToHexStringLower(after.GetHashAndReset()) != made)
            throw new UnsupportedCheckpointException(
                $"{patch.Path}: the patch is damaged: with its difference \"{tensor.Name}\" becomes something else than the patch says; "
                    + $"nothing was written. Get the file again."
            );
    }

    private static void CopyHeader(FileStream original, long length, FileStream destination)
    {
        var header = new byte[length];
        original.ReadExactly(header);
        destination.Write(header);
    }

    private static SafetensorsSource Source(
        PatchedTensor tensor,
        (SafetensorsFile, SafetensorsEntry Entry) before,
        (SafetensorsFile, SafetensorsEntry) after,
        RunContext context
    )
    {
        var elements = tensor.Shape.Aggregate(1L, (product, size) => product * size);
        // Types narrower than a byte have no unsigned integer of their width.
        var (carrier, shape) = (before.Entry.ByteLength / elements, before.Entry.ByteLength % elements) switch
        {
            (1, 0) => ("U8", tensor.Shape),
            (2, 0) => ("U16", tensor.Shape),
            (4, 0) => ("U32", tensor.Shape),
            (8, 0) => ("U64", tensor.Shape),
            _ => ("U8", [before.Entry.ByteLength]),
        };
        return new SafetensorsSource(tensor.Name, carrier, [.. shape], stream =>
            TensorBytePairs.WriteXor(before, after, stream, context.Cancellation)
        );
    }

    internal static void RequireSameTensors(WeightFiles before, WeightFiles after)
    {
        foreach (var name in before.Names.Order(StringComparer.Ordinal))
        {
            if (!after.TryLocate(name, out var other))
                throw new UserInputException(
                    $"{after.Directory}: the tensor \"{name}\" of {before.Directory} is missing; a patch needs two models with the same "
                        + $"tensors."
                );
            Compare(
                before.Locate(name).Entry,
                other.Entry.DType,
                other.Entry.Shape,
                $"{after.Directory}: the tensor \"{name}\"",
                before.Directory
            );
        }

        if (after.Names.Order(StringComparer.Ordinal).FirstOrDefault(name => !before.TryLocate(name, out _)) is { } extra)
            throw new UserInputException(
                $"{before.Directory}: the tensor \"{extra}\" of {after.Directory} is missing; a patch needs two models with the same "
                    + $"tensors."
            );
    }

    private static void RequireTensorsOf(PatchFile patch, WeightFiles model)
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

    private static void Compare(SafetensorsEntry entry, string dtype, IReadOnlyList<long> shape, string what, string other)
    {
        if (entry.DType != dtype || !entry.Shape.SequenceEqual(shape))
            throw new UserInputException(
                $"{what} is {dtype} [{string.Join(", ", shape)}], in {other} it is {entry.DType} [{string.Join(", ", entry.Shape)}]; a "
                    + $"patch belongs to models of one shape and dtype."
            );
    }
}
