using System.Text.Json;
using Falcon.Results;
using Falcon.Tests.Cli;
using Falcon.Tests.Models.Families;

namespace Falcon.Tests.Attacks.Protocol;

/// <summary>
/// The attacks that read or change weights, states and embeddings, on families that lay them out in their own ways: joined projections,
/// transposed matrices with biases, norms after the sublayers, scaled embeddings, parallel residuals.
/// </summary>
public sealed class AttackFamilyTests : IDisposable
{
    private static readonly string[] Attacks =
    [
        "logit-lens",
        "fixed-decoder-lens",
        "activation-patching",
        "orthogonalization",
        "norm-clipping",
        "quantization",
        "set-difference-pruning",
        "gcg",
        "soft-prompt",
        "relearning-other-facts",
    ];

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Names { get; } = new("Phi-3", "Gemma 2", "GPT-NeoX, Pythia", "GPT-2");

    public void Dispose() => _folder.Dispose();

    [Theory, MemberData(nameof(Names))]
    public void Run_AModelThatIsTheControl_RecoversNothing(string name)
    {
        var family = FamilyCase.Of(name);
        var original = (family with { Name = $"{family.Name}, original" }).Write(_folder.At("original")); // the name seeds the weights
        var unlearned = family.Write(_folder.At("unlearned"));
        var forget = _folder.At("forget.jsonl");
        File.WriteAllLines(
            forget,
            PlaceQuestions.Subjects.Select(
                (subject, i) =>
                    JsonSerializer.Serialize(
                        new { question = $"How far is {subject}?", answer = $"It is {i} days by the {PlaceQuestions.Places[i % 3]}." }
                    )
            )
        );
        var run = CommandRun.Of(
            "attack",
            "--model",
            unlearned,
            "--original",
            original,
            "--control",
            unlearned,
            "--attacks",
            string.Join(',', Attacks),
            "--data",
            PlaceQuestions.Write(_folder.At("questions.jsonl"), PlaceQuestions.Subjects),
            "--utility",
            PlaceQuestions.Write(_folder.At("utility.jsonl"), PlaceQuestions.Subjects.Select(subject => $"the brother of {subject}")),
            "--forget",
            forget,
            "--retain",
            TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept"),
            "--budget",
            "quick",
            "--device",
            "cpu",
            "--out",
            _folder.At("out")
        );

        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        var result = AttackResult.Read(_folder.At("out", AttackResult.FileName));
        Assert.Equal(Attacks, result.Attacks.Select(row => row.Name));
        Assert.All(result.Attacks, row => Assert.Equal(row.Control!.Value, row.Unlearned.Value));
        Assert.All(result.Attacks, row => Assert.NotEqual(AttackVerdict.Recovers, row.Verdict));
    }
}
