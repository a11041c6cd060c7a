using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Tests.Runs.Configuration;

/// <summary>Expected values are those written in the files and the defaults written in the sample records.</summary>
public sealed class ConfigFileTests : IDisposable
{
    internal enum Method { Falcon, GradAscent, NPO }

    internal sealed record Optimizer(
        double LearningRate = 1e-4,
        Method Method = Method.Falcon,
        int? MaxSteps = null,
        double[]? Betas = null
    );

    internal sealed record Topic(string Forget, string Retain, double Weight = 1);

    internal sealed record Run(
        string Name = "run",
        ulong Seed = 42,
        bool Mask = true,
        Optimizer? Optimizer = null,
        IReadOnlyList<Topic>? Topics = null,
        string? Note = null
    )
    {
        public Optimizer Optimizer { get; init; } = Optimizer ?? new();
        public int Epochs { get; init; } = 3;
        public Dictionary<string, double> Weights { get; init; } = [];
        public string Title => Name + "!";
    }

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Write(string text)
    {
        File.WriteAllText(_folder.At("run.json"), text);
        return _folder.At("run.json");
    }

    private string Message(string? text, params string[] sets) =>
        Assert
            .Throws<UserInputException>(() => ConfigFile.Read<Run>(text is null ? null : Write(text), sets))
            .Message.Replace(_folder.Path + Path.DirectorySeparatorChar, "", StringComparison.Ordinal);

    [Fact]
    public void Read_NoFile_GivesTheDefaults()
    {
        var run = ConfigFile.Read<Run>(null, []);
        Assert.Equal(("run", 42UL, true, 3), (run.Name, run.Seed, run.Mask, run.Epochs));
        Assert.Equal(new Optimizer(), run.Optimizer);
        Assert.Null(run.Topics);
    }

    [Fact]
    public void Read_CommentsTrailingCommasAndMark_AreFine()
    {
        var run = ConfigFile.Read<Run>(
            Write(
                "\uFEFF// the run\n{ \"name\": \"a\", /* why */ \"epochs\": 5,\n \"topics\": [{\"forget\": \"f\", \"retain\": \"r\",},], "
                    + "\"optimizer\": {\"method\": \"gradAscent\", \"betas\": [0.9, 0.95]}, \"weights\": {\"x\": 1},}\n"
            ),
            []
        );
        Assert.Equal(("a", 5, Method.GradAscent, 1e-4), (run.Name, run.Epochs, run.Optimizer.Method, run.Optimizer.LearningRate));
        Assert.Equal([new Topic("f", "r")], run.Topics!);
        Assert.Equal([0.9, 0.95], run.Optimizer.Betas!);
        Assert.Equal(1, run.Weights["x"]);
    }

    [Fact]
    public void Read_Sets_WinOverTheFileInOrder()
    {
        var path = Write("""{"name": "a", "optimizer": {"learningRate": 0.5, "method": "falcon"}}""");
        var run = ConfigFile.Read<Run>(
            path,
            [
                "optimizer.learningRate=1",
                "optimizer.learningRate=2e-5",
                "optimizer.method=npo",
                "optimizer.maxSteps=80",
                "name=7",
                "note=a=b c",
                "mask=false",
                "weights.bio=0.25",
                "topics=[{\"forget\":\"f\",\"retain\":\"r\"}]",
            ]
        );
        Assert.Equal((2e-5, Method.NPO, (int?)80), (run.Optimizer.LearningRate, run.Optimizer.Method, run.Optimizer.MaxSteps));
        Assert.Equal(("7", "a=b c", false, 0.25), (run.Name, run.Note, run.Mask, run.Weights["bio"]));
        Assert.Equal([new Topic("f", "r")], run.Topics!);
        Assert.Null(ConfigFile.Read<Run>(path, ["note=null"]).Note);
        Assert.Equal("quoted", ConfigFile.Read<Run>(path, ["name=\"quoted\""]).Name);
    }

    [Theory]
    [InlineData("{\n \"optimizr\": {}}", "run.json, line 2: unknown key \"optimizr\"; did you mean \"optimizer\"?")]
    [InlineData(
        "{\"optimizer\": {\n\n\"learning_rate\": 1}}",
        "run.json, line 3: unknown key \"optimizer.learning_rate\"; did you mean \"optimizer.learningRate\"?"
    )]
    [InlineData(
        "{\"optimizer\": {\"colour\": 1}}",
        "run.json, line 1: unknown key \"optimizer.colour\"; known here: learningRate, method, maxSteps, betas."
    )]
    [InlineData(
        "{\"title\": \"x\"}",
        "run.json, line 1: unknown key \"title\"; known here: name, seed, mask, topics, note, optimizer, epochs, weights."
    )]
    [InlineData("{\"Seed\": 1}", "run.json, line 1: unknown key \"Seed\"; did you mean \"seed\"?")]
    [InlineData(
        "{\"topics\": [\n{\"forget\": \"f\", \"retain\": \"r\"},\n{\"forget\": \"f\", \"retains\": \"r\"}]}",
        "run.json, line 3: unknown key \"topics[1].retains\"; did you mean \"topics[1].retain\"?"
    )]
    [InlineData("{\"seed\": 1,\n\"seed\": 2}", "run.json, line 2: the key \"seed\" occurs twice; remove one of them.")]
    [InlineData("{\n\"seed\": -1}", "run.json, line 2: \"seed\" must be a whole number from 0, found -1.")]
    [InlineData("{\"epochs\": 1.5}", "run.json, line 1: \"epochs\" must be a whole number, found 1.5.")]
    [InlineData("{\"epochs\": \"3\"}", "run.json, line 1: \"epochs\" must be a whole number, found \"3\".")]
    [InlineData("{\"epochs\": null}", "run.json, line 1: \"epochs\" must be a whole number, found null.")]
    [InlineData("{\"mask\": 1}", "run.json, line 1: \"mask\" must be true or false, found 1.")]
    [InlineData("{\"name\": null}", "run.json, line 1: \"name\" must be text, found null.")]
    [InlineData("{\"name\": [\"a\"]}", "run.json, line 1: \"name\" must be text, found a list.")]
    [InlineData("{\"optimizer\": 3}", "run.json, line 1: \"optimizer\" must be an object, found 3.")]
    [InlineData("{\"topics\": {}}", "run.json, line 1: \"topics\" must be a list, found an object.")]
    [InlineData("{\"optimizer\": {\"betas\": [0.9,\n\"x\"]}}", "run.json, line 2: \"optimizer.betas[1]\" must be a number, found \"x\".")]
    [InlineData("{\"optimizer\": {\"maxSteps\": true}}", "run.json, line 1: \"optimizer.maxSteps\" must be a whole number, found true.")]
    [InlineData(
        "{\"optimizer\": {\"method\": \"sgd\"}}",
        "run.json, line 1: \"optimizer.method\" must be one of falcon, gradAscent, npo, found \"sgd\"."
    )]
    [InlineData(
        "{\"optimizer\": {\"method\": 0}}",
        "run.json, line 1: \"optimizer.method\" must be one of falcon, gradAscent, npo, found 0."
    )]
    [InlineData(
        "{\"optimizer\": {\"method\": \"Falcon\"}}",
        "run.json, line 1: \"optimizer.method\" must be one of falcon, gradAscent, npo, found \"Falcon\"."
    )]
    [InlineData("{\"topics\": [\n{\"forget\": \"f\"}]}", "run.json, line 2: the key \"topics[0].retain\" is missing; give text.")]
    [InlineData("{\"weights\": {\"a\": \"b\"}}", "run.json, line 1: \"weights.a\" must be a number, found \"b\".")]
    [InlineData(
        "{\"seed\": 1\n\"mask\": true}",
        "run.json, line 2: not valid JSON at byte 1 of the line; check commas, quotes and brackets there."
    )]
    [InlineData("{\"seed\": 1", "run.json, line 1: not valid JSON at byte 11 of the line; check commas, quotes and brackets there.")]
    [InlineData("", "run.json, line 1: not valid JSON at byte 1 of the line; check commas, quotes and brackets there.")]
    [InlineData("{} {}", "run.json, line 1: not valid JSON at byte 4 of the line; check commas, quotes and brackets there.")]
    [InlineData("[]", "run.json: a run file is one JSON object; put its keys in { }.")]
    [InlineData("{\"name\": \"\\ud800\"}", "run.json, line 1: invalid text; save the file as UTF-8.")]
    public void Read_FaultyFile_NamesLineKeyAndRemedy(string text, string expected) => Assert.Equal(expected, Message(text));

    [Theory]
    [InlineData("seed", "--set seed: a key and a value are needed; write KEY=VALUE, for instance optimizer.learningRate=1e-4.")]
    [InlineData("=3", "--set =3: a key and a value are needed; write KEY=VALUE, for instance optimizer.learningRate=1e-4.")]
    [InlineData(
        "optimizer..method=npo",
        "--set optimizer..method=npo: \"optimizer..method\" is not a key path; separate keys by single dots, and set a list as a whole."
    )]
    [InlineData(
        "topics[0].weight=2",
        "--set topics[0].weight=2: \"topics[0].weight\" is not a key path; separate keys by single dots, and set a list as a whole."
    )]
    [InlineData(
        "optimizer.learningRat=1",
        "--set optimizer.learningRat=1: unknown key \"optimizer.learningRat\"; did you mean \"optimizer.learningRate\"?"
    )]
    [InlineData("optimiser.learningRate=1", "--set optimiser.learningRate=1: unknown key \"optimiser\"; did you mean \"optimizer\"?")]
    [InlineData("seed.value=1", "--set seed.value=1: \"seed\" holds a whole number from 0 and has no key \"value\"; set \"seed\" itself.")]
    [InlineData(
        "optimizer.learningRate=fast",
        "--set optimizer.learningRate=fast: \"optimizer.learningRate\" must be a number, found \"fast\"."
    )]
    [InlineData(
        "optimizer={\"method\":\"x\"}",
        "--set optimizer={\"method\":\"x\"}: \"optimizer.method\" must be one of falcon, gradAscent, npo, found \"x\"."
    )]
    public void Read_FaultySet_NamesKeyAndRemedy(string set, string expected)
    {
        Assert.Equal(expected, Message(null, set));
        Assert.Equal(expected, Message("""{"optimizer": {"method": "falcon"}}""", set));
    }

    [Fact]
    public void Read_NoSuchFile_IsNamed()
    {
        Assert.Equal(
            $"{_folder.At("none.json")}: no such file; check the path.",
            Assert.Throws<UserInputException>(() => ConfigFile.Read<Run>(_folder.At("none.json"), [])).Message
        );
        Assert.Equal(
            $"{_folder.Path}: this is a directory; name the run file in it.",
            Assert.Throws<UserInputException>(() => ConfigFile.Read<Run>(_folder.Path, [])).Message
        );
    }

    /// <summary>0.1 + 0.2 needs 17 digits; the computed title is not part of the file.</summary>
    [Fact]
    public void Write_ThenRead_GivesTheSameValues()
    {
        var run = new Run("é \"x\"", 7, Optimizer: new Optimizer(0.1 + 0.2, Method.NPO), Topics: [new Topic("f", "r", 1e-300)])
        {
            Epochs = 9,
        };
        var text = ConfigFile.Write(run);
        var back = ConfigFile.Read<Run>(Write(text), []);
        Assert.Equal(text, ConfigFile.Write(back));
        Assert.Equal(0.1 + 0.2, back.Optimizer.LearningRate);
        Assert.StartsWith("{\n  \"name\": \"é \\\"x\\\"\",\n  \"seed\": 7,\n", text, StringComparison.Ordinal);
        Assert.Contains("\"learningRate\": 0.30000000000000004,\n    \"method\": \"npo\"", text, StringComparison.Ordinal);
        Assert.DoesNotContain("title", text, StringComparison.Ordinal);
        Assert.EndsWith("}\n", text, StringComparison.Ordinal);
    }
}
