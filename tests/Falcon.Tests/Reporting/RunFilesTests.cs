using Falcon.Reporting;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Tests.Reporting;

public sealed class RunFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("falcon-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void ReadReport_WrittenRun_ComesBack()
    {
        var path = Path.Combine(_folder, "run");
        using (var run = RunDirectory.Create(path))
        {
            run.WriteJson(
                "run.json",
                new RunRecord("unlearn", "Islands", SampleReport.Scores, SampleReport.Questions, [], 12.3, "falcon", 2)
            );
            run.WriteJson("layers.json", new { layers = SampleReport.Layers });
            run.WriteJson("config.json", new { seed = 1 });
            run.WriteJson("environment.json", EnvironmentRecord.Capture("cpu", "float32", 1, TimeProvider.System));
            run.AppendLine("metrics.jsonl", new { step = 1, forgetLoss = 2.0, gradientCosine = -0.5 });
            run.AppendLine("metrics.jsonl", new { step = 2, forgetLoss = 1.0, gradientCosine = 0.5 });
            run.Commit();
        }

        var report = RunFiles.ReadReport(path);

        Assert.Equal("Islands", report.Title);
        Assert.Equal(SampleReport.Scores, report.Scores);
        Assert.Equal(SampleReport.Layers, report.Layers);
        var loss = Assert.Single(report.Losses);
        Assert.Equal("Forget loss", loss.Name);
        Assert.Equal([(1, 2), (2, 1)], loss.Points);
        Assert.Equal("Gradient cosine", Assert.Single(report.Cosines).Name);
        Assert.Contains(report.Environment, f => f is { Name: "Seed", Value: "1" });
        Assert.Contains("\"seed\": 1", report.Configuration, StringComparison.Ordinal);
    }

    [Fact]
    public void ReadRecord_NoRun_SaysWhatToName()
    {
        Assert.Contains(
            "no such directory",
            Assert.Throws<UserInputException>(() => RunFiles.ReadRecord(Path.Combine(_folder, "absent"))).Message,
            StringComparison.Ordinal
        );
        Assert.Contains(
            "run.json",
            Assert.Throws<UserInputException>(() => RunFiles.ReadRecord(_folder)).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void ReadSeries_DamagedLine_NamesFileAndLine()
    {
        var path = Path.Combine(_folder, "metrics.jsonl");
        File.WriteAllText(path, "{\"step\":1,\"loss\":1}\n{\"step\":2,\n");

        Assert.Contains(
            $"{path}, line 2",
            Assert.Throws<UserInputException>(() => RunFiles.ReadSeries(path)).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void ReadRecord_NewerVersion_IsRefused()
    {
        File.WriteAllText(
            Path.Combine(_folder, "run.json"),
            "{\"verb\":\"unlearn\",\"title\":\"t\",\"scores\":[],\"questions\":[],\"files\":[],\"seconds\":1,\"version\":99}"
        );

        Assert.Contains(
            "version 99",
            Assert.Throws<UserInputException>(() => RunFiles.ReadRecord(_folder)).Message,
            StringComparison.Ordinal
        );
    }
}
