using System.Security.Cryptography;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runs;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;

namespace Falcon.Exchange;

/// <summary>Creates, applies, reverts and verifies patches, piece by piece: no tensor is ever in memory as a whole.</summary>
public static class WeightPatch
{
    /// <summary>Writes the change from one model to another with the same tensors.</summary>
    /// <param name="baseDirectory">The model before.</param>
    /// <param name="modelDirectory">The model after.</param>
    /// <param name="path">
    /// The file to write; for an existing directory or a path that ends in a separator, <c>patch.safetensors</c> in it.
    /// </param>
    /// <param name="context">Log and cancellation.</param>
    /// <exception cref="UserInputException">
    /// A directory or file is missing, the models have different tensors (the message names the first), nothing changed, or the file
    /// exists.
    /// </exception>
    /// <exception cref="UnsupportedCheckpointException">A weight file is damaged.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; nothing is written.</exception>
    public static PatchSummary Create(string baseDirectory, string modelDirectory, string path, RunContext context)
    {
        var file = Path.EndsInDirectorySeparator(path) || Directory.Exists(path) ? Path.Combine(path, "patch.safetensors") : path;
        file = Path.GetFullPath(file);
        if (File.Exists(file)) throw new UserInputException($"{file}: the file exists; choose another --out or delete it.");
        using var before = WeightFiles.Open(baseDirectory);
        using var after = WeightFiles.Open(modelDirectory);
        TensorLists.RequireSame(before, after);
        string[] names = [.. before.Names.Order(StringComparer.Ordinal)];
        List<PatchedTensor> tensors = [];
        foreach (var name in names)
        {
            var (first, second) = (before.Locate(name), after.Locate(name));
            var hash = TensorBytePairs.Sha256(first, context.Cancellation);
            var result = TensorBytePairs.Sha256(second, context.Cancellation);
            tensors.Add(new PatchedTensor(name, first.Entry.DType, first.Entry.Shape, hash, result));
            context.Log.Progress("comparing", tensors.Count, names.Length, name);
        }

        List<PatchedTensor> changed = [.. tensors.Where(tensor => tensor.IsChanged)];
        if (changed.Count == 0)
            throw new UserInputException(
                $"{modelDirectory}: every tensor is the same as in {baseDirectory}; there is no change to store. "
                    + "Give the model after unlearning with --model."
            );
        var run = RunForm.Of(modelDirectory)?.ConfigPath;
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

    /// <summary>Makes the changed model from the original and the patch.</summary>
    /// <param name="patchPath">The patch file.</param>
    /// <param name="baseDirectory">The original model; its other files are copied.</param>
    /// <param name="outDirectory">
    /// The model directory to write; it appears whole or not at all. File names and the order of tensors are those of the original.
    /// </param>
    /// <param name="context">Log and cancellation.</param>
    /// <exception cref="UserInputException">
    /// The patch was made for another model (the message names the tensor), or the output exists.
    /// </exception>
    /// <exception cref="UnsupportedCheckpointException">The patch or a weight file is damaged.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; nothing is written.</exception>
    public static PatchedModel Apply(string patchPath, string baseDirectory, string outDirectory, RunContext context) =>
        Transform(patchPath, baseDirectory, outDirectory, revert: false, context);

    /// <summary>
    /// Makes the original model from the changed one and the patch; the inverse of <see cref="Apply"/>, with the same errors. The card of
    /// the
    /// unlearned model gives way to the one that the original had.
    /// </summary>
    /// <param name="patchPath">The patch file.</param>
    /// <param name="modelDirectory">The changed model.</param>
    /// <param name="outDirectory">The model directory to write.</param>
    /// <param name="context">Log and cancellation.</param>
    public static PatchedModel Revert(string patchPath, string modelDirectory, string outDirectory, RunContext context) =>
        Transform(patchPath, modelDirectory, outDirectory, revert: true, context);

    /// <summary>Finds out whether a model is the original or the changed model of a patch, by the hashes of all its tensors.</summary>
    /// <exception cref="UserInputException">
    /// It is neither; the message names the first tensor that is in neither, or that does not belong with the tensors before it.
    /// </exception>
    /// <exception cref="UnsupportedCheckpointException">The patch or a weight file is damaged.</exception>
    public static PatchVerification Verify(string patchPath, string modelDirectory, RunContext context)
    {
        using var patch = PatchFile.Open(patchPath);
        using var model = WeightFiles.Open(modelDirectory);
        TensorLists.RequireSame(patch, model);
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
                    $"{modelDirectory}: the tensor \"{tensor.Name}\" is neither the base nor the result of {patchPath}; "
                        + "this patch belongs to another model."
                );
            if (!tensor.IsChanged) continue;
            if (state is not null && state != found)
                throw new UserInputException(
                    $"{modelDirectory}: the tensor \"{tensor.Name}\" is the {found} of {patchPath}, others are the {state}; "
                        + "the model is a mixture of the two. Get it again."
                );
            state = found;
        }

        return new PatchVerification(modelDirectory, state!, patch.Tensors.Count);
    }

    private static PatchedModel Transform(string patchPath, string sourceDirectory, string outDirectory, bool revert, RunContext context)
    {
        using var patch = PatchFile.Open(patchPath);
        using var source = WeightFiles.Open(sourceDirectory);
        TensorLists.RequireSame(patch, source);
        using var output = RunDirectory.Create(outDirectory);
        var bytes = source.Files.Sum(file => file.DataStart + file.Entries.Sum(entry => entry.ByteLength));
        output.RequireFreeSpace(bytes, "the model");
        CheckpointWriter.CopyOtherFiles(source.Directory, output.WorkingPath);
        // Apart from the weights a run changes the card alone.
        if (revert && ModelCard.IsOf(source.Directory, context.Cancellation)) CardFiles.RestoreBefore(output.WorkingPath);
        var done = 0;
        foreach (var file in source.Files)
        {
            var path = output.PathOf(Path.GetFileName(file.Path));
            using var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
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

    // The tensors of a file cover its data without gaps, so the header and the tensors in order are the whole file.
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
        using var before = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var after = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
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
        {
            var reason = (found == made, revert) switch
            {
                (true, true) => "the model is already the original",
                (true, false) => "the patch is already applied",
                _ => $"SHA-256 {found[..12]}…, not {due[..12]}…",
            };
            throw new UserInputException(
                $"{sourceDirectory}: the tensor \"{tensor.Name}\" is not the {(revert ? "result" : "base")} of {patch.Path} ({reason}); "
                    + "nothing was written. Give the model that the patch belongs to."
            );
        }

        if (tensor.IsChanged && Convert.ToHexStringLower(after.GetHashAndReset()) != made)
            throw new UnsupportedCheckpointException(
                $"{patch.Path}: the patch is damaged: applied to \"{tensor.Name}\" it does not give the result that it names; "
                    + "nothing was written. Get the file again."
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
        // Dtypes narrower than a byte have no unsigned integer of their width.
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
}
