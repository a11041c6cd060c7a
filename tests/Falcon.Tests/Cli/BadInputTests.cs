using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;

namespace Falcon.Tests.Cli;

/// <summary>
/// Wrong input on a real, tiny model directory: exit code 2, one line that says what, where and what to do, and nothing left behind.
/// </summary>
public sealed class BadInputTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _model;
    private readonly string _forget;
    private readonly string _retain;

    public BadInputTests()
    {
        _model = TinyCheckpoint.Write(_folder.At("model"));
        _forget = TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten");
        _retain = TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept");
    }

    private string Weights => Path.Combine(_model, "model.safetensors");

    private string Out => _folder.At("out");

    public void Dispose() => _folder.Dispose();

    private CommandRun Unlearn(params string[] more) =>
        CommandRun.Of([
            "unlearn",
            .. Given(more, "--model", _model),
            .. Given(more, "--forget", _forget),
            .. Given(more, "--retain", _retain),
            .. Given(more, "--layer", "1"),
            .. Given(more, "--out", Out),
            "--device",
            "cpu",
            "--set",
            "steps=2",
            "--set",
            "data.batchSize=2",
            .. more,
        ]);

    private static string[] Given(string[] more, string option, string value) => more.Contains(option) ? [] : [option, value];

    /// <summary>Runs and compares the files before and after.</summary>
    private void Refused(string[] arguments, params string[] said) => RefusedWith(2, arguments, said);

    private void RefusedWith(int exitCode, string[] arguments, params string[] said)
    {
        var before = Files();
        var run = Unlearn(arguments);
        Assert.True(run.ExitCode == exitCode, $"exit code {run.ExitCode}: {string.Join('\n', run.Errors)}");
        Assert.Empty(run.Output);
        foreach (var part in said) Assert.Contains(part, run.Errors[^1], StringComparison.Ordinal);
        Assert.StartsWith("falcon", run.Errors[^1], StringComparison.Ordinal);
        if (exitCode == 2) Assert.Single(run.Errors);
        Assert.Equal(before, Files());
    }

    private string[] Files() =>
        [.. Directory.EnumerateFileSystemEntries(_folder.Path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];

    [Fact]
    public void Unlearn_GoodInput_WritesARunDirectory()
    {
        var run = Unlearn();
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        Assert.Equal(
            ["config.json", "environment.json", "metrics.jsonl", "model", "run.json"],
            Directory.EnumerateFileSystemEntries(Out).Select(Path.GetFileName).Order(StringComparer.Ordinal)
        );
    }

    [Fact]
    public void Model_Missing() => Refused(["--model", _folder.At("absent")], _folder.At("absent"), "no such directory", "Give the folder");

    [Fact]
    public void Tokenizer_Missing()
    {
        File.Delete(Path.Combine(_model, "tokenizer.json"));
        Refused([], _model, "no tokenizer.json", "Copy the tokenizer files");
    }

    [Fact]
    public void Tokenizer_OfAnotherModel()
    {
        TinyCheckpoint.Edit(_model, config => config["vocab_size"] = 40);
        SafetensorsWriter.Write(Weights, [.. Rewritten(entry => entry.Name == "model.embed_tokens.weight" ? [40, 16] : entry.Shape)]);
        Refused([], "config.json is 40", "tokenizer files of the same model");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(200)]
    [InlineData(-1)]   // all but the last byte
    public void Safetensors_Truncated(int length)
    {
        using (var file = File.OpenWrite(Weights)) file.SetLength(length < 0 ? file.Length + length : length);
        Refused([], Weights, "not a readable safetensors file", "Copy or download");
    }

    [Fact]
    public void Safetensors_Missing()
    {
        File.Delete(Weights);
        Refused([], _model, "neither model.safetensors nor model.safetensors.index.json", "Give a directory");
    }

    [Fact]
    public void Shard_Missing()
    {
        var sharded = TinyCheckpoint.Write(_folder.At("sharded"), shards: 2);
        File.Delete(Path.Combine(sharded, "model-00002-of-00002.safetensors"));
        Refused(["--model", sharded], "model-00002-of-00002.safetensors", "not found", "Copy the missing shard");
    }

    [Fact]
    public void Config_WrongShape()
    {
        TinyCheckpoint.Edit(_model, config => config["intermediate_size"] = 32);
        Refused(
            [],
            _model,
            "model.layers.0.mlp.gate_proj.weight has shape [24, 16], config.json asks for [32, 16]",
            "and 6 more",
            "one and the same checkpoint"
        );
    }

    [Fact]
    public void Config_NotJson()
    {
        File.WriteAllText(Path.Combine(_model, "config.json"), "{\n\"model_type\": llama}");
        Refused([], "config.json", "line 2", "Restore the file");
    }

    public static TheoryData<string, string, string[]> ConfigEdits => new()
    {
        { "model_type", "\"mamba\"", ["\"model_type\" is mamba", "llama, mistral, qwen2, qwen3"] },
        { "model_type", "7", ["\"model_type\" is 7", "expected a string"] },
        { "hidden_act", "\"relu2\"", ["\"hidden_act\" is relu2", "silu"] },
        { "rope_scaling", """{"rope_type": "telepathic", "factor": 2.0}""", ["telepathic", "rope"] },
        { "logit_softcap", "30.0", ["\"logit_softcap\" is not known", "Remove it"] },
        { "hidden_size", "0", ["\"hidden_size\" is 0", "at least 1"] },
        { "vocab_size", "null", ["\"vocab_size\" is missing", "Restore"] },
        { "quantization_config", """{"quant_method": "gptq", "bits": 4}""", ["quantization_config", "unquantised checkpoint"] },
    };

    [Theory]
    [MemberData(nameof(ConfigEdits))]
    public void Config_NotSupported(string key, string value, string[] said)
    {
        TinyCheckpoint.Edit(_model, config => config[key] = JsonNode.Parse(value));
        Refused([], ["config.json", .. said]);
    }

    [Fact]
    public void Safetensors_QuantisedDType()
    {
        SafetensorsWriter.Write(
            Weights,
            [
                .. Rewritten(
                    entry => entry.Shape,
                    entry => entry.Name.EndsWith("up_proj.weight", StringComparison.Ordinal) ? "I8" : entry.DType
                ),
            ]
        );
        Refused([], "up_proj.weight has dtype I8", "F32, BF16 and F16");
    }

    [Fact]
    public void Forget_Missing() => Refused(["--forget", _folder.At("absent.jsonl")], "absent.jsonl", "no such file", "check the path");

    [Fact]
    public void Forget_IsADirectory() => Refused(["--forget", _model], _model, "this is a directory", "name one file in it");

    [Fact]
    public void Forget_Empty()
    {
        File.WriteAllText(_forget, "");
        Refused([], _forget, "the file is empty", "at least one record");
    }

    [Fact]
    public void Forget_OnlyBlankLines()
    {
        File.WriteAllText(_forget, "\n\n");
        Refused([], _forget, "no usable record");
    }

    [Fact]
    public void Forget_MalformedJsonOnLine7()
    {
        var lines = File.ReadAllLines(_forget);
        lines[6] = lines[6][..^3];
        File.WriteAllLines(_forget, lines);
        Refused([], _forget, "line 7", "not valid JSON", "every line must be one complete JSON object");
    }

    [Fact]
    public void Forget_MissingField()
    {
        File.WriteAllText(_forget, """{"frage": "?", "antwort": "!"}""");
        Refused([], _forget, "line 1", "frage");
    }

    [Fact]
    public void Retain_NumberDoesNotFit() =>
        Refused(
            ["--retain", $"{_retain},{_retain},{_retain}", "--forget", $"{_forget},{_forget}"],
            "2 forget files but 3 retain files",
            "one retain file for each forget file"
        );

    [Fact]
    public void RunFile_UnknownKey()
    {
        File.WriteAllText(_folder.At("run.jsonc"), "{\n  // rates\n  \"optimizer\": { \"learningrte\": 1e-4 }\n}\n");
        Refused(
            ["--config", _folder.At("run.jsonc")],
            "run.jsonc, line 3",
            "unknown key \"optimizer.learningrte\"",
            "did you mean \"optimizer.learningRate\"?"
        );
    }

    [Fact]
    public void RunFile_WrongType()
    {
        File.WriteAllText(_folder.At("run.jsonc"), "{ \"optimizer\": { \"rho\": \"many\" } }");
        Refused(["--config", _folder.At("run.jsonc")], "run.jsonc, line 1", "\"optimizer.rho\" must be a number, found \"many\"");
    }

    [Fact]
    public void Set_UnknownKey() =>
        Refused(["--set", "loss.temprature=1"], "--set loss.temprature=1", "did you mean \"loss.temperature\"?");

    [Fact]
    public void Set_WrongValue() => Refused(["--set", "optimizer.learningRate=-1"], "optimizer.learningRate is -1", "above 0");

    [Fact]
    public void Layer_OutOfRange() => Refused(["--layer", "4"], "layers.target is 4", "layers 0 to 3", "--layer auto");

    [Theory]
    [InlineData("1")]
    [InlineData("auto")]
    public void Matrix_Unknown(string layer) =>
        Refused(["--layer", layer, "--set", "layers.parameters=[\"mlp.dwn_proj\"]"], "layers.parameters", "mlp.dwn_proj", "mlp.down_proj");

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Out_Exists(bool empty)
    {
        Directory.CreateDirectory(Out);
        if (!empty) File.WriteAllText(_folder.At("out", "kept.txt"), "");
        Refused([], Out, "exists", "choose another --out");
    }

    [Fact]
    public void Out_BelowAFile() => Refused(["--out", Path.Combine(_forget, "run")], _forget, "cannot be created", "--out");

    [Fact]
    public void Out_ReadOnlyParent()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("needs a folder that takes no folder, which Windows spells otherwise");
            return;
        }

        var parent = _folder.At("locked");
        Directory.CreateDirectory(parent);
        File.SetUnixFileMode(parent, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        try
        {
            // The super-user may write anywhere but to the process file system.
            if (Environment.UserName == "root" && !Directory.Exists("/proc")) Assert.Skip("the super-user may write everywhere here");
            var target = Environment.UserName == "root" ? "/proc/run" : Path.Combine(parent, "run");
            Refused(["--out", target], target, "cannot be created", "--out");
        }
        finally
        {
            File.SetUnixFileMode(parent, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    [Fact]
    public void Disk_TooSmallForTheModel()
    {
        // A file with a hole takes no disk here, but its copy would need more than any disk has.
        var larger = new DriveInfo(_folder.Path).AvailableFreeSpace + (1L << 30);
        try
        {
            using var file = File.Create(Path.Combine(_model, "notes.txt"));
            file.SetLength(larger);
        }
        catch (IOException)
        {
            Assert.Skip("this file system has no files with holes");
        }
        Refused([], Out, "the new model needs", "free some space or choose another --out");
    }

    [Fact]
    public void Disk_FullWhileWriting()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("needs a small file system, mounted for the test");
        var disk = _folder.At("disk");
        Directory.CreateDirectory(disk);
        // Room for the model, which is asked for before, but not for the model and what is written beside it.
        var pages = (CheckpointLength() / Environment.SystemPageSize) + 4;
        if (
            !Succeeds(
                "mount",
                "-t",
                "tmpfs",
                "-o",
                string.Create(CultureInfo.InvariantCulture, $"size={pages * Environment.SystemPageSize}"),
                "falcon-test",
                disk
            )
        )
            Assert.Skip("mounting a small file system is not allowed here");
        try
        {
            var run = Unlearn("--out", Path.Combine(disk, "run"), "--set", "steps=60");
            Assert.Equal(2, run.ExitCode);
            Assert.Contains(disk, run.Errors[^1], StringComparison.Ordinal);
            Assert.Contains("No space left", run.Errors[^1], StringComparison.Ordinal);
            Assert.Contains("Free s", run.Errors[^1], StringComparison.Ordinal);
            Assert.Empty(Directory.EnumerateFileSystemEntries(disk));
        }
        finally
        {
            Assert.True(Succeeds("umount", disk));
        }
    }

    [Theory]
    [InlineData("model.layers.0.mlp.down_proj.weight")]
    [InlineData("model.layers.3.self_attn.q_proj.weight")]   // above the layer: never loaded, but copied into the result
    [InlineData("model.embed_tokens.weight")]
    public void Weight_NotANumber_ExitCode3(string tensor)
    {
        long position;
        using (var file = SafetensorsFile.Open(Weights))
        {
            file.TryGetEntry(tensor, out var entry);
            position = file.DataStart + entry!.Begin + 8;
        }
        using (var stream = File.OpenWrite(Weights))
        {
            stream.Position = position;
            stream.Write(BitConverter.GetBytes(float.NaN));
        }
        RefusedWith(3, [], Weights, tensor, "1 of ", "not finite", "get an intact copy");
        RefusedWith(3, ["--layer", "auto"], Weights, tensor);
    }

    [Fact]
    public void Run_Diverges_ExitCode3AndNoStateLeft() =>
        RefusedWith(
            3,
            ["--set", "steps=60", "--set", "optimizer.learningRate=1e30", "--set", "checkpointEvery=1"],
            "Step",
            "optimizer.learningRate"
        );

    private long CheckpointLength()
    {
        using var checkpoint = Checkpoint.Open(_model);
        return CheckpointWriter.ByteLength(checkpoint);
    }

    private List<SafetensorsSource> Rewritten(Func<SafetensorsEntry, long[]> shape, Func<SafetensorsEntry, string>? dtype = null)
    {
        using var file = SafetensorsFile.Open(Weights);
        return [.. file.Entries.Select(entry =>
        {
            var type = dtype?.Invoke(entry) ?? entry.DType;
            var bytes = file.Bytes(entry)[..(int)(shape(entry).Aggregate(1L, (a, b) => a * b) * (type == "I8" ? 1 : 4))].ToArray();
            return new SafetensorsSource(entry.Name, type, shape(entry), stream => stream.Write(bytes));
        })];
    }

    // False where it is not allowed, as for everybody but the super-user.
    private static bool Succeeds(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
