using System.Text.Json;
using Falcon.Optimization;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Optimization;

public class OptimizerTests
{
    public static TheoryData<string> GoldenNames => GoldenCases.Names("sophiag");

    [Theory, MemberData(nameof(GoldenNames)), Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Sophia_GoldenCase_AgreesStepByStep(string name)
    {
        var golden = GoldenCases.OrSkip("sophiag");
        var expected = golden.Case(name);
        var count = golden.Json.GetProperty("shapes").GetArrayLength();
        using var scope = NewDisposeScope();
        var parameters = Enumerable.Range(0, count).Select(i => golden.Tensors[$"param0.{i}"]).ToArray();
        var externalSteps = expected
            .GetProperty("external_update_hessian_before_steps")
            .EnumerateArray()
            .Select(e => e.GetInt32())
            .ToHashSet();
        using var optimizer = Make(name, expected, parameters);
        for (var step = 0; step < expected.GetProperty("steps").GetArrayLength(); step++)
        {
            if (externalSteps.Contains(step))
            {
                var estimate = Enumerable.Range(0, count).Select(i => golden.Tensors[$"hessian_grad.{step}.{i}"].square()).ToArray();
                if (optimizer is Sophia sophia) sophia.UpdateCurvature(estimate);
                else ((SophiaOfficial)optimizer).UpdateCurvature(estimate);
            }
            optimizer.Step([.. Enumerable.Range(0, count).Select(i => golden.Tensors[$"grad.{step}.{i}"])]);
            for (var i = 0; i < count; i++)
            {
                var prefix = $"{name}.step{step}.";
                GoldenCases.Close(
                    golden.Tensors[$"{prefix}param.{i}"],
                    parameters[i],
                    expected.GetProperty("tolerance_abs_param").GetDouble(),
                    $"{prefix}param.{i}"
                );
                foreach (var moment in new[] { "exp_avg", "hessian" })
                    GoldenCases.CloseRelative(
                        golden.Tensors[$"{prefix}{moment}.{i}"],
                        optimizer.State[$"{moment}.{i}"].Whole(),
                        expected.GetProperty("tolerance_rel_state").GetDouble(),
                        $"{prefix}{moment}.{i}"
                    );
            }
        }
    }

    [Fact]
    public void AdamW_AgreesWithTorch()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var ours = new[] { randn([4, 3], generator: generator), randn([5], generator: generator) };
        var theirs = ours.Select(p => p.clone().requires_grad_()).Select(p => new TorchSharp.Modules.Parameter(p)).ToArray();
        using var optimizer = new AdamW(ours, 1e-2, 0.8, 0.95, 1e-6, 0.1);
        using var reference = optim.AdamW(theirs, 1e-2, 0.8, 0.95, 1e-6, 0.1);
        for (var step = 0; step < 8; step++)
        {
            var gradients = ours.Select(p => randn(p.shape, generator: generator)).ToArray();
            for (var i = 0; i < gradients.Length; i++) theirs[i].grad = gradients[i].clone();
            reference.step();
            optimizer.Step(gradients);
            for (var i = 0; i < gradients.Length; i++) GoldenCases.Close(theirs[i], ours[i], 1e-6, $"step {step}");
        }
    }

    [Fact]
    public void Sophia_AgreesWithLoopsInDouble()
    {
        // m and h by hand for one scalar parameter, three steps, an estimate before steps 0 and 2 (interval 2).
        using var scope = NewDisposeScope();
        var parameter = tensor(new[] { 2f });
        using var optimizer = new Sophia([parameter], 0.1, 0.9, 0.8, rho: 0.5, batch: 4, curvatureInterval: 2, weightDecay: 0.01);
        double p = 2, m = 0, h = 0;
        foreach (var (gradient, estimate) in new[] { (0.3, 1.5), (-0.2, 99.0), (1.0, 0.7) })
        {
            if (optimizer.NeedsCurvature)
            {
                optimizer.UpdateCurvature([tensor(new[] { (float)estimate })]);
                h = (0.8 * h) + (0.2 * estimate);
            }
            optimizer.Step([tensor(new[] { (float)gradient })]);
            m = (0.9 * m) + (0.1 * gradient);
            p = (p * (1 - (0.1 * 0.01))) - (0.1 * Math.Clamp(m / Math.Max(2 * h, 1e-15), -1, 1));
            Assert.Equal(p, parameter.item<float>(), 1e-6);
        }
        Assert.Equal(3, optimizer.StepCount);
    }

    [Theory, InlineData("adamw"), InlineData("sophia"), InlineData("sophia-official")]
    public void Load_ContinuesExactly(string kind)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(6);
        var start = randn([3, 2], generator: generator);
        var gradients = Enumerable.Range(0, 6).Select(_ => randn([3, 2], generator: generator)).ToArray();
        var (whole, halves) = (start.clone(), start.clone());
        using var uninterrupted = Make(kind, whole);
        foreach (var gradient in gradients) uninterrupted.Step([gradient]);

        Dictionary<string, Tensor> saved;
        using (var first = Make(kind, halves))
        {
            foreach (var gradient in gradients[..3]) first.Step([gradient]);
            saved = first.State.ToDictionary(entry => entry.Key, entry => entry.Value.Whole());
        }
        using var second = Make(kind, halves);
        second.Load(saved.Keys, name => saved[name], stepCount: 3);
        foreach (var gradient in gradients[3..]) second.Step([gradient]);

        Assert.Equal(6, second.StepCount);
        GoldenCases.Close(whole, halves, 0, kind);
        saved.Remove("exp_avg.0");
        Assert.Throws<ArgumentException>(() => second.Load(saved.Keys, name => saved[name], 3));
    }

    [Theory, InlineData("adamw"), InlineData("sophia"), InlineData("sophia-official")]
    public void Step_StateInAFile_GivesTheSameBits(string kind)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var file = new ScratchFile(folder.At("state"));
        using var generator = new Generator(8);
        var start = randn([1 << 10, 1100], generator: generator); // more than one block
        var inMemory = start.clone();
        using var stored = BlockTensor.CopyOf(start, file);
        using var plain = Make(kind, inMemory);
        using Optimizer offloaded = kind switch
        {
            "adamw" => new AdamW([stored], 0.01, file: file),
            "sophia" => new Sophia([stored], 0.01, file: file),
            _ => new SophiaOfficial([stored], 0.01, file: file),
        };
        for (var step = 0; step < 2; step++)
        {
            var gradient = randn(start.shape, generator: generator);
            plain.Step([gradient]);
            offloaded.Step([gradient]);
        }

        Assert.True(stored.Whole().equal(inMemory).all().item<bool>());
        foreach (var (name, moment) in plain.State)
            Assert.True(offloaded.State[name].Whole().equal(moment.Whole()).all().item<bool>(), name);
    }

    [Fact]
    public void Step_WrongGradients_AreRefused()
    {
        using var scope = NewDisposeScope();
        using var optimizer = new AdamW([ones(2)], 0.1);
        Assert.Throws<ArgumentException>(() => optimizer.Step([]));
        Assert.Throws<ArgumentException>(() => optimizer.Step([ones(3)]));
        Assert.Throws<ArgumentException>(() => new AdamW([ones(2, dtype: float64)], 0.1));
    }

    [Theory, InlineData("adamw"), InlineData("sophia"), InlineData("sophia-official")]
    public void Step_LeavesNoTensorBehind(string kind)
    {
        using var scope = NewDisposeScope();
        var (parameter, gradient) = (ones(3).requires_grad_(), ones(3));
        TensorLeaks.Check(0, _ =>
        {
            using var optimizer = Make(kind, parameter);
            (optimizer as Sophia)?.UpdateCurvature([gradient]);
            optimizer.Step([gradient]);
            optimizer.Step([gradient]);
        });
    }

    private static Optimizer Make(string kind, Tensor parameter) => kind switch
    {
        "adamw" => new AdamW([parameter], 0.01),
        "sophia" => new Sophia([parameter], 0.01),
        _ => new SophiaOfficial([parameter], 0.01),
    };

    private static Optimizer Make(string name, JsonElement hyper, Tensor[] parameters)
    {
        double Value(string key) => hyper.GetProperty(key).GetDouble();
        var (beta1, beta2) = (hyper.GetProperty("betas")[0].GetDouble(), hyper.GetProperty("betas")[1].GetDouble());
        return name.Contains("zeta", StringComparison.Ordinal) // only the name tells which of the two rules made the numbers
            ? new SophiaOfficial(parameters, Value("lr"), beta1, beta2, Value("rho"), Value("bs"), Value("eps"), Value("weight_decay"))
            : new Sophia(parameters, Value("lr"), beta1, beta2, Value("rho"), Value("bs"), 2, Value("eps"), Value("weight_decay"));
    }
}
