using Falcon.Attacks.Inputs;
using Falcon.Attacks.Training;
using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Tests.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Tests.Attacks.Inputs;

/// <summary>
/// Vectors that are tokens' rows of the embedding matrix do what these tokens do, in families that scale the embedding or learn positions
/// too.
/// </summary>
public sealed class SoftPromptTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("Mistral")]
    [InlineData("Gemma 2")]
    [InlineData("Gemma 3")]
    [InlineData("GPT-NeoX, Pythia")]
    [InlineData("GPT-2")]
    public void Loss_RowsOfTokens_IsThatOfTheTokens(string name)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var (weights, model) = Checkpoint.LoadModel(FamilyCase.Of(name).Write(_folder.At("model")), float32, CPU);
        using var owned = weights;
        int[] prompt = [310, 41, 77];
        ScoredSequence[] texts = [new([5, 17, 40, 3, 88, 21], 4), new([5, 60, 9, 33], 2)];
        foreach (var at in new[] { 0, 1 })
        {
            ScoredSequence[] written =
            [
                .. texts.Select(text => new ScoredSequence(
                    [.. text.Tokens[..at], .. prompt, .. text.Tokens[at..]],
                    text.Start + prompt.Length
                )),
            ];
            var expected = AnswerLoss.PerText(model, written, 0).mean().item<float>();
            var vectors = model.EmbeddingRows(tensor(prompt.Select(id => (long)id).ToArray(), [1, 3]))[0];
            Assert.Equal(expected, SoftPrompt.Loss(model, texts, vectors, at, 0).item<float>(), 1e-4 * expected);
        }
    }
}
