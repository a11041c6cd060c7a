using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Exchange;
using Falcon.Exchange.Adapters;
using Falcon.Runtime;
using Falcon.Tests.Cli;
using static TorchSharp.torch;

namespace Falcon.Tests.Exchange;

/// <summary>LoRA adapters against decompositions of their own in float64.</summary>
public sealed class LoraExportTests : IDisposable
{
    private const int Rank = 4;
    private static readonly string[] Trained = ["model.layers.1.mlp.down_proj", "model.layers.2.self_attn.q_proj"];

    private readonly TemporaryFolder _folder = new();
    private readonly string _base;
    private readonly string _model;

    public LoraExportTests()
    {
        _base = TinyCheckpoint.Write(_folder.At("base"));
        _model = _folder.At("model");
        using var scope = NewDisposeScope();
        using var checkpoint = Checkpoint.Open(_base);
        using var generator = new Generator(3, CPU);
        CheckpointWriter.Write(checkpoint, _model, Trained.ToDictionary(module => module + ".weight", module =>
        {
            var before = checkpoint.LoadStored(module + ".weight");
            return BlockTensor.Borrow(before + 0.1 * randn(before.shape, generator: generator));
        }));
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Adapter_MergedIntoTheBase_IsTheBestApproximationOfThatRank()
    {
        var result = LoraExport.Write(_base, _model, Rank, _folder.At("adapter"), null, RunContext.Quiet);

        using var scope = NewDisposeScope();
        using var before = WeightFiles.Open(_base);
        using var after = WeightFiles.Open(_model);
        using var adapter = SafetensorsFile.Open(_folder.At("adapter", "adapter_model.safetensors"));
        using var config = JsonDocument.Parse(File.ReadAllText(_folder.At("adapter", "adapter_config.json")));
        var scale = config.RootElement.GetProperty("lora_alpha").GetDouble() / config.RootElement.GetProperty("r").GetDouble();
        foreach (var module in Trained)
        {
            var (w, changed) = (Tensor(before, module), Tensor(after, module));
            var (b, a) = (Factor(adapter, module, 'B'), Factor(adapter, module, 'A'));
            Assert.Equal([w.shape[0], Rank], b.shape);
            Assert.Equal([Rank, w.shape[1]], a.shape);

            // Eckart-Young: the leading triplets of the difference, here in float64 and by themselves.
            var (left, values, right) = linalg.svd(changed - w, fullMatrices: false);
            var best = (left[.., ..Rank] * values[..Rank]).matmul(right[..Rank]);
            Assert.True((w + scale * b.matmul(a)).allclose(w + best, rtol: 0, atol: 1e-6));
            var share = values[Rank..].square().sum().sqrt().item<double>() / values.square().sum().sqrt().item<double>();
            Assert.Equal(share, result.Matrices.Single(matrix => matrix.Module == module).Residual, 1e-6);
        }

        Assert.Equal(2 * Trained.Length, adapter.Entries.Count);
        Assert.Equal("pt", adapter.Metadata["format"]);
    }

    [Fact]
    public void Adapter_OfFullRank_LeavesNothingOutAndMergesToTheModel()
    {
        var result = LoraExport.Write(_base, _model, 1000, _folder.At("adapter"), null, RunContext.Quiet);
        Assert.InRange(result.Residual, 0, 1e-6);
        Assert.Equal(16, result.Matrices[0].Rank); // the smaller side of 16 x 24

        AdapterMerge.Execute(_base, _folder.At("adapter"), _folder.At("merged"), "auto", RunContext.Quiet);

        using var scope = NewDisposeScope();
        using var merged = WeightFiles.Open(_folder.At("merged"));
        using var model = WeightFiles.Open(_model);
        foreach (var name in model.Names)
            Assert.True(
                Tensor(merged, name[..^".weight".Length]).allclose(Tensor(model, name[..^".weight".Length]), rtol: 0, atol: 1e-6),
                name
            );
        using var config = JsonDocument.Parse(File.ReadAllText(_folder.At("adapter", "adapter_config.json")));
        Assert.Equal(16, config.RootElement.GetProperty("rank_pattern").GetProperty(Trained[0]).GetInt32());
        Assert.Equal(16, config.RootElement.GetProperty("alpha_pattern").GetProperty(Trained[0]).GetInt32());
    }

    [Fact]
    public void Configuration_IsInPeftsForm()
    {
        LoraExport.Write(_base, _model, Rank, _folder.At("adapter"), null, RunContext.Quiet);
        var text = File.ReadAllText(_folder.At("adapter", "adapter_config.json"));
        using var config = JsonDocument.Parse(text);
        string[] keys = [.. config.RootElement.EnumerateObject().Select(member => member.Name)];
        Assert.Equal(keys.Order(StringComparer.Ordinal), keys);
        Assert.DoesNotContain('\n', text[^1..]);
        Assert.Equal("LORA", config.RootElement.GetProperty("peft_type").GetString());
        Assert.Equal(Trained, config.RootElement.GetProperty("target_modules").EnumerateArray().Select(module => module.GetString()!));
        Assert.DoesNotContain("base_model_name_or_path", keys); // a path would be looked up on a hub
        Assert.DoesNotContain("peft_version", keys);
        var card = File.ReadAllText(_folder.At("adapter", "README.md"));
        Assert.DoesNotContain("base_model:", card, StringComparison.Ordinal);
        Assert.Contains("name on a hub is not known", card, StringComparison.Ordinal);
    }

    [Fact]
    public void Configuration_OfABaseThatAHubHas_NamesIt()
    {
        TinyCheckpoint.Edit(_base, config => config["_name_or_path"] = "someone/tiny-model");
        LoraExport.Write(_base, _model, Rank, _folder.At("adapter"), null, RunContext.Quiet);
        using var config = JsonDocument.Parse(File.ReadAllText(_folder.At("adapter", "adapter_config.json")));
        Assert.Equal("someone/tiny-model", config.RootElement.GetProperty("base_model_name_or_path").GetString());
        var card = File.ReadAllText(_folder.At("adapter", "README.md"));
        Assert.Contains("\nbase_model: someone/tiny-model\n", card, StringComparison.Ordinal);

        ModelOrigin.NoteDownload(_base, "other/origin", "abc");
        Assert.Equal("other/origin", ModelOrigin.Of(_base).HubName);
    }

    [Fact]
    public void Names_OfAModelWithImages_AreThoseOfTodaysClass()
    {
        var model = Fixtures.At("families", "families", "gemma3_vision");
        Assert.SkipWhen(!Directory.Exists(model), $"no model at {model}");
        const string file = "language_model.model.layers.1.mlp.down_proj";
        using (var scope = NewDisposeScope())
        {
            using var checkpoint = Checkpoint.Open(model);
            var changed = BlockTensor.Borrow(checkpoint.LoadStored(file + ".weight").to(float32) + 0.1);
            CheckpointWriter.Write(checkpoint, _folder.At("images"), new Dictionary<string, BlockTensor> { [file + ".weight"] = changed });
        }

        LoraExport.Write(model, _folder.At("images"), Rank, _folder.At("adapter"), null, RunContext.Quiet);

        using var adapter = SafetensorsFile.Open(_folder.At("adapter", "adapter_model.safetensors"));
        Assert.True(adapter.TryGetEntry("base_model.model.model.language_model.layers.1.mlp.down_proj.lora_A.weight", out _));
        // Adapters of before, and those trained on the text model alone, have other names for the same module.
        foreach (var other in new[] { "model.language_model", "language_model.model", "model" })
        {
            var renamed = _folder.At(other);
            Directory.CreateDirectory(renamed);
            string Renamed(string name) => name.Replace("model.language_model.layers", other + ".layers", StringComparison.Ordinal);
            var config = File.ReadAllText(_folder.At("adapter", "adapter_config.json"));
            File.WriteAllText(Path.Combine(renamed, "adapter_config.json"), Renamed(config));
            WriteRenamed(adapter, Path.Combine(renamed, "adapter_model.safetensors"), Renamed);
            var record = AdapterMerge.Execute(model, renamed, _folder.At("merged-" + other), "auto", RunContext.Quiet);
            Assert.Equal([file + ".weight"], record.Changed);
        }
    }

    [Fact]
    public void Names_OfAFileWithoutThePrefix_HaveIt()
    {
        foreach (var directory in new[] { _base, _model })
        {
            var path = Path.Combine(directory, "model.safetensors");
            using (var files = SafetensorsFile.Open(path))
                WriteRenamed(files, path + ".new", name => name["model.".Length..]);
            File.Move(path + ".new", path, overwrite: true);
        }

        LoraExport.Write(_base, _model, Rank, _folder.At("adapter"), null, RunContext.Quiet);

        using var adapter = SafetensorsFile.Open(_folder.At("adapter", "adapter_model.safetensors"));
        Assert.All(Trained, module => Assert.True(adapter.TryGetEntry($"base_model.model.{module}.lora_B.weight", out _)));
    }

    [Theory]
    [InlineData("model.embed_tokens.weight")]
    [InlineData("model.norm.weight")]
    public void Write_AChangeThatNoAdapterHolds_IsRefusedByName(string tensor)
    {
        ChangedModel.Invert(_model, tensor);
        var run = CommandRun.Of("export", "lora", "--base", _base, "--model", _model, "--rank", "2", "--out", _folder.At("adapter"));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains($"\"{tensor}\" changed", run.Errors[^1], StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("adapter")) || Directory.Exists(_folder.At("adapter.partial")));
    }

    [Fact]
    public void CommandLine_WithASuite_MeasuresTheThreeModels()
    {
        var questions = TinyCheckpoint.Questions(_folder.At("q.jsonl"), "stars", 6);
        var run = CommandRun.Of(
            "export",
            "lora",
            "--base",
            _base,
            "--model",
            _model,
            "--rank",
            "16",
            "--suite",
            "qa",
            "--data",
            questions,
            "--rouge-samples",
            "1",
            "--out",
            _folder.At("adapter"),
            "--device",
            "cpu",
            "--dtype",
            "float32",
            "--json"
        );
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));

        using var json = JsonDocument.Parse(run.Output);
        Assert.NotEmpty(json.RootElement.GetProperty("scores").EnumerateArray());
        foreach (var score in json.RootElement.GetProperty("scores").EnumerateArray()) // rank 16 is the whole change here
            Assert.Equal(
                score.GetProperty("model").GetProperty("value").GetDouble(),
                score.GetProperty("adapter").GetProperty("value").GetDouble(),
                1e-4
            );
        Assert.Equal(
            ["README.md", "adapter_config.json", "adapter_model.safetensors", "export.json"],
            Directory.EnumerateFiles(_folder.At("adapter")).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)
        );
        Assert.StartsWith("---\nlibrary_name: peft\n", File.ReadAllText(_folder.At("adapter", "README.md")), StringComparison.Ordinal);
    }

    [Fact]
    public void Factors_OfALargeMatrix_AreTheLeadingOnes()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5, CPU);
        // Orthonormal sides and falling values: the best residual of rank r is known exactly. Sides above the limit of the full
        // decomposition.
        var (left, _) = linalg.qr(randn([1100, 40], generator: generator));
        var (right, _) = linalg.qr(randn([1300, 40], generator: generator));
        var values = arange(40, dtype: float32).mul(-0.2).exp();
        var difference = (left * values).matmul(right.T);

        var (b, a, norm, residual) = LowRankFactors.Of(difference, 10);

        Assert.Equal([1100L, 10], b.shape);
        Assert.Equal([10L, 1300], a.shape);
        Assert.Equal(values.square().sum().sqrt().item<float>(), norm, 1e-4);
        Assert.Equal(values[10..].square().sum().sqrt().item<float>(), residual, 1e-5);
    }

    [Fact]
    public void Factors_KeepNoTensor() => TensorLeaks.Check(0, _ =>
    {
        using var scope = NewDisposeScope();
        LowRankFactors.Of(randn([20, 30]), 3);
    });

    private static void WriteRenamed(SafetensorsFile file, string path, Func<string, string> renamed) =>
        SafetensorsWriter.Write(
            path,
            [
                .. file.Entries.Select(entry => new SafetensorsSource(renamed(entry.Name), entry.DType, entry.Shape, stream =>
                    file.CopyTo(entry, stream)
                )),
            ]
        );

    private static Tensor Tensor(WeightFiles files, string module)
    {
        var (file, entry) = files.Locate(module + ".weight");
        return TensorBytes.ToTensor(file, entry).to(float64);
    }

    private static Tensor Factor(SafetensorsFile adapter, string module, char factor)
    {
        Assert.True(adapter.TryGetEntry($"base_model.model.{module}.lora_{factor}.weight", out var entry));
        return TensorBytes.ToTensor(adapter, entry!).to(float64);
    }
}
