using System.Diagnostics;
using Falcon.Attacks;
using Falcon.Evaluation;

namespace Falcon.Tests.Attacks;

public sealed class MatrixTests(GuardedModels models) : IClassFixture<GuardedModels>
{
    [Fact]
    public void Matrix()
    {
        using var log = new StreamWriter(Environment.GetEnvironmentVariable("MATRIX")!) { AutoFlush = true };
        var clock = Stopwatch.StartNew();
        var (data, settings) = (models.Data, models.Settings);
        string[] kinds = ["misleads at layer 3", "misleads at the last layer", "misleads in one form", "declines", "long embeddings"];
        foreach (var kind in kinds)
        {
            var loaded = models.Of(kind);
            log.WriteLine($"{kind}: made at {clock.Elapsed.TotalSeconds:0}; plain {new AttackScoring(loaded, data, settings).RightFirst(data.Test).Average():0.00}, utility {new AttackScoring(loaded, data, settings).Utility():0.00}");
        }

        void Try(string name, params string[] of)
        {
            var attack = AttackCatalog.All.Single(attack => attack.Name == name);
            AttackSubject Subject(LoadedModel loaded) => new(loaded, models.Original) { Control = models.Control };
            var at = clock.Elapsed.TotalSeconds;
            var control = attack.Run(Subject(models.Control), data, settings);
            var ceiling = attack.Baseline(Subject(models.Original), data, settings);
            var controlFloor = attack.Baseline(Subject(models.Control), data, settings);
            log.WriteLine($"== {name}: original {ceiling.Mean:0.00}, control {controlFloor.Mean:0.00} -> {control.Mean:0.00}, share {RecoveredShare.Of(control.PerItem, controlFloor.PerItem, ceiling.PerItem, 0)} in {clock.Elapsed.TotalSeconds - at:0}");
            foreach (var kind in of)
            {
                at = clock.Elapsed.TotalSeconds;
                var attacked = attack.Run(Subject(models.Of(kind)), data, settings);
                var floor = attack.Baseline(Subject(models.Of(kind)), data, settings);
                var share = RecoveredShare.Of(attacked.PerItem, floor.PerItem, ceiling.PerItem, 0);
                var beyond = RecoveredShare.Of(attacked.PerItem, control.PerItem, ceiling.PerItem, 0);
                log.WriteLine($"  {kind}: {floor.Mean:0.00} -> {attacked.Mean:0.00} ({attacked.Setting}), {share}, beyond {beyond}, {AttackRun.Verdict(share, beyond)} in {clock.Elapsed.TotalSeconds - at:0}");
                foreach (var extra in attacked.Extras.Take(14)) log.WriteLine($"      {extra.Key}: {extra.Value:0.00}");
            }
        }

        foreach (var name in new[] { "orthogonalization", "set-difference-pruning", "logit-lens" }) Try(name, kinds[0], kinds[1]);
        Try("norm-clipping", kinds[4]);
        foreach (var name in new[] { "prefilling", "in-context-facts", "conversational-templates", "paraphrases" }) Try(name, kinds[2]);
        foreach (var name in new[] { "soft-prompt", "gcg", "enhanced-gcg" }) Try(name, kinds[0], kinds[2]);
        Try("prefilled-continuation", kinds[3]);
        Try("leak-at-k", kinds[3]);
    }
}
