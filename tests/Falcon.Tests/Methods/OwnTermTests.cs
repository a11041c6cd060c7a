using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Methods.Terms;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods;

/// <summary>Terms from outside that are wrong: an error that names the term, where libtorch would end the process.</summary>
public sealed class OwnTermTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    static OwnTermTests() => TermKinds.Register<Wrong>("wrongLossOfATest");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("vector", "of shape [")]
    [InlineData("detached", "without a graph")]
    [InlineData("double", "Float64")]
    [InlineData("states", "PassNeeds.TargetStates")]
    public void Loss_ThatCannotBeDifferentiated_IsRefusedWithItsName(string form, string said)
    {
        var preset = UnlearnConfig.Of("npo");
        var config = preset with
        {
            Model = TinyCheckpoint.Write(_folder.At("model")),
            Data = preset.Data with
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
            },
            Objective = new ObjectiveSettings { Forget = [new Wrong { Form = form }], Retain = [] },
            Evaluation = new EvaluationConfig { Samples = 0 },
            Steps = 1,
        };
        var error = Assert.Throws<InvalidOperationException>(() =>
            UnlearnRun.Execute(config, _folder.At("out"), resume: false, RunContext.Quiet)
        );
        if (form != "states") Assert.StartsWith("objective.forget.wrongLossOfATest: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("out")));
    }

    [Theory]
    [InlineData("")]
    [InlineData("Bad Name-x")]
    [InlineData("Upper")]
    public void Register_NameThatIsNotCamelCase_IsRefused(string name) =>
        Assert.Contains(
            "camelCase",
            Assert.Throws<ArgumentException>(() => TermKinds.Register<Wrong>(name)).Message,
            StringComparison.Ordinal
        );

    private sealed record Wrong : ForgetTerm
    {
        public string Form { get; init; } = "";

        public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

        public override ForgetLoss Build(TermInputs inputs) => new WrongLoss(Form);
    }

    private sealed class WrongLoss(string form) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) => form switch
        {
            "vector" => pass.AnswerNll(),
            "detached" => pass.AnswerNll().mean().detach(),
            "double" => pass.AnswerNll().mean().to(float64),
            _ => pass.NormRatios.mean(),
        };
    }
}
