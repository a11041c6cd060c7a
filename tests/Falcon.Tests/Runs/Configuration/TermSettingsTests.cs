using Falcon.Cli.Verbs;
using Falcon.Methods.Falcon;
using Falcon.Methods.Preference;
using Falcon.Methods.Terms;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Tests.Runs.Configuration;

/// <summary>Lists of terms in run files: what changes them, what is refused, and what older files are told.</summary>
public sealed class TermSettingsTests
{
    private static UnlearnConfig Config(string method)
    {
        var preset = UnlearnConfig.Of(method);
        return preset with
        {
            Model = "model",
            Data = preset.Data with { Forget = ["forget.jsonl"], Retain = ["retain.jsonl"] },
            Layers = preset.Layers with { Target = preset.TrainsWholeModel ? null : 2 },
        };
    }

    [Theory]
    [InlineData("npo", "objective.forget.npo.delta=1", "unknown key \"objective.forget.npo.delta\"")]
    [InlineData("npo", "objective.forget.npi.beta=1", "has no kind \"npi\"; known are")]
    [InlineData("npo", "objective.retain.answers=5", "must be an object")]
    public void Read_SettingsThatATermLacks_AreRefused(string method, string setting, string message) =>
        Assert.Contains(
            message,
            Assert.Throws<UserInputException>(() => ConfigFile.Read(null, [setting], Config(method))).Message,
            StringComparison.Ordinal
        );

    [Fact]
    public void Validate_SettingsWithoutEffectOrOutOfRange_AreRefused()
    {
        string Fault(UnlearnConfig config) => Assert.Throws<UserInputException>(config.Validate).Message;
        void Refused(string expected, string method, params string[] settings) =>
            Assert.Contains(expected, Fault(ConfigFile.Read(null, settings, Config(method))), StringComparison.Ordinal);
        Refused("sophia", "npo", "optimizer.kind=sophia");
        Refused("layers.target", "npo", "layers.target=1");
        Refused("layers.parameters", "rmu", "layers.target=null", "layers.parameters=[\"model\"]");
        Refused("layers.choice", "falcon", "layers.choice=highestInformation");
        Refused("objective.forget.npo.beta is 0; it must be above 0", "npo", "objective.forget.npo.beta=0");
        Refused("objective.retain.answers.weight is -1; it must be at least 0", "npo", "objective.retain.answers.weight=-1");
        Refused("2 weights for 1 forget file(s)", "npo", "objective.retain.answers.weight=[1,2]");
        Refused("steps must be 0", "ssd", "steps=3");
        Refused("engine.microBatchTokens", "npo", "engine.microBatchTokens=100");
        Refused("objective.forget: give at least one term", "npo", "objective.forget.npo=null");
        Refused("two filters", "npo", "objective.filters=[{\"kind\":\"conflictProjection\"},{\"kind\":\"conflictProjection\"}]");
        Refused(
            "objective.forget.promptAdversary: the term needs engine.path=shared",
            "falcon",
            "engine.path=plain",
            "objective.forget.promptAdversary={}"
        );
        Refused("layers.startNoise", "npo", "layers.startNoise=0.5");
        Refused("layers.rebuiltAbove needs", "falcon", "layers.rebuiltAbove=3");
        Assert.Contains("preset", Fault(Config("npo") with { Preset = "paper" }), StringComparison.Ordinal);
    }

    [Fact]
    public void Read_ListsReplace_ObjectsChangeOrAddOrTakeOutSingleTerms()
    {
        var start = UnlearnConfig.FromPreset("falcon");
        UnlearnConfig Read(params string[] settings) => ConfigFile.Read(null, settings, start);
        Assert.Equal(7, Read("objective.forget.bound.level=7").Objective.Forget.OfType<AnswerBound>().Single().Level);
        Assert.Equal(3, Read("objective.forget.promptAdversary.vectors=3").Objective.Forget.OfType<PromptAdversary>().Single().Vectors);
        Assert.Equal(2, Read("objective.forget.bound=null").Objective.Forget.Count);
        Assert.Equal([2.0], Read("objective.retain.hiddenStates.weight=2").Objective.Retain.Single().Weight);
        var listed = Read("objective.forget=[{\"temperature\":0.5,\"kind\":\"contrastive\"}]", "objective.forget.contrastive.variance=0.9");
        Assert.Equal(new Contrastive { Temperature = 0.5, Variance = 0.9 }, Assert.Single(listed.Objective.Forget));
        Assert.Empty(Read("objective.forget=[{\"kind\":\"contrastive\"}]", "objective.forget.contrastive=null").Objective.Forget);
        var written = ConfigFile.Write(listed);
        Assert.Contains("\"kind\": \"contrastive\"", written, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("loss.retainWeight=5", "objective.retain.hiddenStates.weight")]
    [InlineData("loss.sharpness=0.1", "was removed")]
    [InlineData("combination.collapsedShare=0.5", "was removed")]
    [InlineData("offsetVector.rank=4", "was removed")]
    [InlineData("hyperParameters.beta=0.1", "objective.forget.npo.beta")]
    [InlineData("loss={\"retainNoise\":0.1,\"boundLevel\":7}", "objective.forget.bound.level")]
    public void Read_KeysOfOlderRunFiles_AreNamedWithWhatToWriteInstead(string setting, string instead)
    {
        var message = Assert.Throws<UserInputException>(() => ConfigFile.Read(null, [setting], Config("falcon"))).Message;
        Assert.Contains(setting.Split('=')[0], message, StringComparison.Ordinal);
        Assert.Contains(instead, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_WithoutTheTermsOfAnotherMethod_KeepsTheRestOfTheFile()
    {
        using var folder = new TemporaryFolder();
        var file = folder.At("run.jsonc");
        File.WriteAllText(file, """{ "objective": { "retain": [{ "kind": "hiddenStates" }] }, "steps": 7 }""");
        Assert.True(ConfigFile.Holds(file, "objective"));
        var config = ConfigFile.Read(file, ["objective.forget.npo.beta=0.5"], Config("npo"), leftOut: "objective");
        Assert.Equal(7, config.Steps);
        Assert.Equal(new NegativePreference { Beta = 0.5 }, Assert.Single(config.Objective.Forget));
        Assert.IsType<Answers>(Assert.Single(config.Objective.Retain));
    }

    [Theory]
    [InlineData("falcon", null, false)]
    [InlineData("official", null, true)]
    [InlineData(null, "npo", true)]
    [InlineData(null, null, false)]
    public void Configuration_AnotherMethodOrPresetThanTheFile_LeavesItsTermsOut(string? preset, string? method, bool leavesOut)
    {
        using var folder = new TemporaryFolder();
        var file = folder.At("run.jsonc");
        File.WriteAllText(file, """{ "preset": "falcon", "objective": { "retain": [{ "kind": "statesError" }] }, "steps": 7 }""");
        List<string> warnings = [];
        var arguments = new UnlearnArguments("m", ["f.jsonl"], ["r.jsonl"], null, preset, method, null, file, [], false, "out");
        var config = UnlearnCommand.Configuration(arguments, null, warnings.Add);
        Assert.Equal(7, config.Steps);
        Assert.Equal(leavesOut, warnings.Count == 1);
        Assert.Equal(leavesOut, !config.Objective.Retain.Any(term => term is StatesError));
        if (preset is not null) Assert.Equal(preset, config.Preset);
    }
}
