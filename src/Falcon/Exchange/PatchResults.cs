namespace Falcon.Exchange;

/// <summary>The main facts about a patch file.</summary>
/// <param name="Path">The patch file, as a full path.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Tensors">Number of tensors of the model.</param>
/// <param name="Changed">Names of the changed tensors.</param>
/// <param name="ChangedParameters">Number of weights in the changed tensors.</param>
/// <param name="HasRun">Whether the patch holds the settings of the run.</param>
public sealed record PatchSummary(string Path, long Bytes, int Tensors, IReadOnlyList<string> Changed, long ChangedParameters, bool HasRun);

/// <summary>A model directory that was made with a patch.</summary>
/// <param name="Model">The directory, as a full path.</param>
/// <param name="Changed">Names of the tensors that were changed.</param>
/// <param name="Bytes">Bytes of the weight files.</param>
public sealed record PatchedModel(string Model, IReadOnlyList<string> Changed, long Bytes);

/// <summary>Which of the two models of a patch a model is.</summary>
/// <param name="Model">The directory as it was given.</param>
/// <param name="State"><c>base</c>: the patch can be applied to it; <c>result</c>: the patch can be reverted on it.</param>
/// <param name="Tensors">Number of tensors that were compared.</param>
public sealed record PatchVerification(string Model, string State, int Tensors);
