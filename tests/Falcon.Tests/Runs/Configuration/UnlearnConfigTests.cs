using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Tests.Runs.Configuration;

/// <summary>Rules across the fields of an unlearning run.</summary>
public sealed class UnlearnConfigTests
{
    [Theory]
    [InlineData("falcon")]
    [InlineData("falcon-rebuild")]
    [InlineData("falcon-anew")]
    [InlineData("paper")]
    [InlineData("official")]
    public void FromPreset_EveryName_GivesValidSettingsThatNameIt(string name)
    {
        var config = With(UnlearnConfig.FromPreset(name));
        config.Validate();
        Assert.Equal(name, config.Preset);
    }

    [Theory]
    [InlineData("data.generatedRetain=-1", "data.generatedRetain is -1; it must be from 0 to 1000000")]
    [InlineData("data.retainBatchSize=-1", "data.retainBatchSize is -1; it must be at least 0")]
    [InlineData("layers.startNoise=1.5", "layers.startNoise is 1.5; it must be from 0 to 1")]
    [InlineData("objective.retain.hiddenStates.weight=0,layers.startNoise=0.5", "layers.startNoise needs a retain term that sees")]
    [InlineData("method=rmu,layers.startNoise=0.5", "layers.startNoise needs a retain term that sees")]
    [InlineData("layers.rebuiltAbove=-1", "layers.rebuiltAbove is -1; it must be at least 0")]
    [InlineData("layers.rebuiltAbove=2", "layers.rebuiltAbove needs the retain term outputs or tokens")]
    [InlineData("layers.rebuiltEmbedding=true", "layers.rebuiltEmbedding needs the retain term outputs or tokens")]
    [InlineData(
        "objective.retain.outputs={},data.countPadding=true",
        "objective.retain.outputs: the term runs the whole model and needs data.countPadding=false"
    )]
    [InlineData("objective.retain.outputs={},engine.stream=true", "objective.retain.outputs: the term runs the whole model in every step")]
    [InlineData("objective.retain.tokens={},engine.path=plain", "needs engine.path=shared")]
    [InlineData("optimizer.learningRate=0", "optimizer.learningRate is 0; it must be above 0")]
    [InlineData("layers.parameters=[]", "layers.parameters: give at least 1")]
    [InlineData(
        "objective.filters.conflictProjection.conflictWeights=[1]",
        "objective.filters.conflictProjection.conflictWeights: give at least 2"
    )]
    public void Validate_SettingsThatDoNotFit_AreNamed(string settings, string said)
    {
        var start = settings.StartsWith("method=rmu", StringComparison.Ordinal)
            ? UnlearnConfig.Of("rmu")
            : UnlearnConfig.FromPreset("falcon");
        var error = Assert.Throws<UserInputException>(With(ConfigFile.Read(null, settings.Split(','), start)).Validate);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    private static UnlearnConfig With(UnlearnConfig config) =>
        config with
        {
            Model = "model",
            Data = config.Data with { Forget = ["forget.jsonl"], Retain = ["retain.jsonl"] },
        };
}
