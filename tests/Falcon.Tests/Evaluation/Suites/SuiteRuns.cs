using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Models;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using Falcon.Tokenization;
using TorchSharp;

namespace Falcon.Tests.Evaluation.Suites;

/// <summary>
/// Suites on models of random weights and data of invented content in the publishers' layouts. Expected values: the same definition
/// computed the plain way, text by text without batches.
/// </summary>
public abstract class SuiteRuns : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    protected SuiteRuns()
    {
        TinyModel.Write(At("model"), seed: 1, maxPositions: 512);
        TinyModel.Write(At("other"), seed: 2, maxPositions: 512);
    }

    public void Dispose()
    {
        _folder.Dispose();
        GC.SuppressFinalize(this);
    }

    protected string At(params string[] names) => _folder.At(names);

    protected EvaluationSettings Settings(string suite) =>
        new(At("model"), [suite], At("data"), null, At("result.json"))
        {
            Questions = new QuestionSettings(MaxNewTokens: 4),
            Device = "cpu",
            DType = "float32",
        };

    protected static EvaluationResult Run(EvaluationSettings settings) =>
        EvaluateRun.Execute(settings, SilentRunLog.Instance, TimeProvider.System, TestContext.Current.CancellationToken);

    protected T WithModel<T>(Func<CausalLM, HfTokenizer, T> ask)
    {
        var (weights, model) = Checkpoint.LoadModel(At("model"), torch.float32, torch.CPU);
        using var owned = weights;
        return ask(model, HfTokenizer.Load(At("model")));
    }
}
