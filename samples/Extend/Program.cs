// Adds a loss, a metric and an attack to Falcon, and runs them on the demo model: dotnet run --project samples/Extend -- [DEMO] [OUT]
using System.ComponentModel.DataAnnotations;
using Falcon.Attacks;
using Falcon.Attacks.Protocol;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Evaluation.Suites;
using Falcon.Methods.Terms;
using Falcon.Results;
using Falcon.Runs;
using Falcon.Runs.Attacking;
using Falcon.Runs.Configuration;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using static TorchSharp.torch;

var (demo, output) = (args.ElementAtOrDefault(0) ?? "demo", args.ElementAtOrDefault(1) ?? "runs/extend");
var (model, data) = ($"{demo}/model", $"{demo}/data");
TermKinds.Register<Uniform>("uniform");
SuiteCatalog.Register(new AnswerLength());
AttackCatalog.Register(new EagerOpening());
var measured = new EvaluationSettings(model, ["answer-length"], $"{data}/general.jsonl", null, $"{output}/metric.json");
var length = EvaluateRun.Execute(measured, SilentRunLog.Instance, TimeProvider.System).Metrics["answer-length"];
Console.WriteLine(FormattableString.Invariant($"answer-length: {length.Value:0.00} ({length.Low:0.00} to {length.High:0.00})"));
var attacked = new AttackRunSettings(model, model, [$"{data}/forget-alchemy-mcq.jsonl"], $"{output}/attack");
var row = AttackRun.Execute(attacked with { Attacks = ["eager-opening"] }, RunContext.Quiet).Attacks[0];
Console.WriteLine(FormattableString.Invariant($"eager-opening: {row.Unlearned.Value:0.00}, without {row.Unattacked.Unlearned.Value:0.00}"));
string[] settings = ["objective.forget=[{\"kind\":\"uniform\"}]", $"data.forget=[\"{data}/forget-alchemy.jsonl\"]", "steps=4"];
settings = [.. settings, $"data.retain=[\"{data}/keep-alchemy.jsonl\"]", "evaluation.samples=0", $"model={model}"];
UnlearnRun.Execute(UnlearnConfig.Read(null, settings, "npo"), $"{output}/run", resume: false, RunContext.Quiet);
Console.WriteLine("uniform: " + File.ReadLines($"{output}/run/metrics.jsonl").Last());

internal sealed record Uniform : ForgetTerm
{
    [Range(0, 100)] public double Weight { get; init; } = 1;
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;
    public override ForgetLoss Build(TermInputs inputs) => new UniformLoss(Weight);
}

internal sealed class UniformLoss(double weight) : ForgetLoss
{
    public override Tensor? Loss(StepPass pass) => -weight * pass.AnswerLogits[pass.Answers.PredictionMask(CPU)].log_softmax(1).mean();
}

internal sealed class AnswerLength : QuestionMetric
{
    public override string Name => "answer-length";
    public override string Definition => "words of the greedy answer over words of the true answer";
    public override double Value(ModelAnswer answer) => answer.Text.Split(' ').Length / (double)answer.Record.Answer!.Split(' ').Length;
}

internal sealed class EagerOpening : Attack
{
    public override string Name => "eager-opening";
    public override AttackTier Tier => AttackTier.BlackBox;
    public override string Definition => "The answer begins with a word of joy; multiple choice of the rest.";
    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings) =>
        new(new AttackScoring(subject.Loaded, data, settings).RightFirst(data.Test, new ScoringPass { Opening = " Gladly!" }), "one word");
}
