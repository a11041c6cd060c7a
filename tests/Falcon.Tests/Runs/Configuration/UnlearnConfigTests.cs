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
    [InlineData("data.generatedRetain=-1", "data.generatedRetain must be in 0 to 1000000")]
    [InlineData("data.retainBatchSize=-1", "data.retainBatchSize must not be negative; 0 takes data.batchSize")]
    [InlineData("layers.startNoise=1.5", "layers.startNoise must be in [0, 1]")]
    [InlineData("loss.retainWeight=[0],layers.startNoise=0.5", "layers.startNoise needs the method falcon with loss.retainWeight above 0")]
    [InlineData("method=rmu,layers.startNoise=0.5", "layers.startNoise needs the method falcon")]
    [InlineData("layers.rebuiltAbove=-1", "layers.rebuiltAbove must not be negative")]
    [InlineData("layers.rebuiltAbove=2", "layers.rebuiltAbove needs loss.retain=outputs or tokens")]
    [InlineData("layers.rebuiltEmbedding=true", "layers.rebuiltEmbedding needs loss.retain=outputs or tokens")]
    [InlineData("loss.retain=tokens,loss.teacher=there", "loss.teacher needs loss.retain=outputs")]
    [InlineData("loss.retain=outputs,loss.retainErrorWeight=1", "leave loss.retainErrorWeight and loss.retainNoise 0")]
    [InlineData("loss.retain=outputs,loss.countPadding=true", "and loss.countPadding false")]
    [InlineData("loss.retain=outputs,engine.stream=true", "loss.retain=outputs and tokens run the whole model in every step")]
    [InlineData("loss.retain=outputs,engine.path=plain", "they need engine.path=shared")]
    [InlineData("method=rmu,loss.retain=outputs", "loss holds settings of FALCON")]
    public void Validate_RebuildingSettingsThatDoNotFit_AreNamed(string settings, string said)
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
