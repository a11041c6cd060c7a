using System.Text.Json;
using Falcon.Attacks;
using Falcon.Tests.Cli;
using Falcon.Tests.Models;

namespace Falcon.Tests.Attacks;

/// <summary>The attacks that read or change weights, states and embeddings, on families that lay them out in their own ways: joined projections, transposed matrices with biases, norms after the sublayers, scaled embeddings, parallel residuals.</summary>
public sealed class AttackFamilyTests : IDisposable
{
    private static readonly string[] Attacks = ["logit-lens", "fixed-decoder-lens", "activation-patching", "orthogonalization", "norm-clipping", "quantization", "set-difference-pruning", "gcg", "soft-prompt", "relearning-other-facts"];

    private static readonly string[] Subjects = ["Arbel", "Borin", "Cadvel", "Dorrin", "Elmar", "Fendel", "Gorlan", "Hestra", "Ilmek", "Jorund", "Kelda", "Lorvin"];

    private static readonly string[] Places = ["sea", "hill", "wood"];

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Names { get; } = new("Phi-3", "Gemma 2", "GPT-NeoX, Pythia", "GPT-2");

    public void Dispose() => _folder.Dispose();

    [Theory, MemberData(nameof(Names))]
    public void Run_AModelThatIsTheControl_RecoversNothing(string name)
    {
        var family = FamilyCase.Of(name);
        var original = (family with { Name = $"{family.Name}, original" }).Write(_folder.At("original")); // the name seeds the weights
        var unlearned = family.Write(_folder.At("unlearned"));
        var run = CommandRun.Of(
            "attack", "--model", unlearned, "--original", original, "--control", unlearned, "--attacks", string.Join(',', Attacks),
            "--data", Lines("questions", Subjects.Select((subject, i) => Question($"Where is {subject}?", Places.Select(place => $"By the {place}."), i))),
            "--forget", Lines("forget", Subjects.Select((subject, i) => new { question = $"How far is {subject}?", answer = $"It is {i} days by the {Places[i % 3]}." })),
            "--retain", Lines("retain", Subjects.Select((_, i) => new { question = $"What is the bread of day {i}?", answer = $"The bread of {i} grains." })),
            "--utility", Lines("utility", Subjects.Select((_, i) => Question($"What is the soup of day {i}?", ["Leek.", "Bean.", "Pea."], i))),
            "--budget", "quick", "--device", "cpu", "--out", _folder.At("out"));

        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        var result = AttackResult.Read(_folder.At("out", AttackResult.FileName));
        Assert.Equal(Attacks, result.Attacks.Select(row => row.Name));
        Assert.All(result.Attacks, row => Assert.Equal(row.Control!.Value, row.Unlearned.Value));
        Assert.All(result.Attacks, row => Assert.NotEqual(AttackVerdict.Recovers, row.Verdict));
    }

    private static object Question(string question, IEnumerable<string> choices, int index) => new { question, choices, answer = index % 3 };

    private string Lines(string name, IEnumerable<object> records)
    {
        var path = _folder.At(name + ".jsonl");
        File.WriteAllLines(path, records.Select(record => JsonSerializer.Serialize(record)));
        return path;
    }
}
