using Falcon.Checkpoints;
using Falcon.Methods.Terms;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Runs;

/// <summary>The model whose outputs a run preserves, where that is not the model being unlearned.</summary>
internal static class TeacherModel
{
    private const string Key = "objective.retain.outputs.teacher";

    /// <summary>Opens the teacher's files; null where there is none.</summary>
    /// <exception cref="UserInputException">There is no such checkpoint, or it has another tokenizer.</exception>
    public static Checkpoint? Open(ObjectiveSettings objective, Checkpoint student, HfTokenizer tokenizer)
    {
        if (PathIn(objective) is not { } path) return null;
        if (!Directory.Exists(path))
            throw new UserInputException(
                $"{Key}: {path} is no directory; give the folder of a Hugging Face checkpoint, or leave it out for the model itself."
            );
        var checkpoint = Checkpoint.Open(path);
        try
        {
            var (own, size) = (checkpoint.Config.VocabularySize, student.Config.VocabularySize);
            if (own != size)
                throw new UserInputException(
                    $"{Key}: {path} has a vocabulary of {own} tokens, the model of {size}; give a model with the same tokenizer."
                );
            if (HfTokenizer.Load(path).DifferenceFrom(tokenizer) is { } difference)
                throw new UserInputException(
                    $"{Key}: the tokenizer of {path} is not that of the model ({difference}); give a model with the same tokenizer."
                );
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>The directory of the teacher that the terms name; null for none.</summary>
    public static string? PathIn(ObjectiveSettings objective) => objective.Retain.OfType<Outputs>().FirstOrDefault()?.Teacher;
}
