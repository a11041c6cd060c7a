using System.Text.Json.Nodes;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>Keys of older run files, and what to write instead.</summary>
internal static class ObsoleteKeys
{
    private const string Removed = "was removed, as it did not help (docs/experiments); leave it out";
    private const string Term = "a number is one term of a list now; ";

    private static readonly Dictionary<string, string> Instead = new()
    {
        ["loss.temperature"] = "write objective.forget.contrastive.temperature",
        ["loss.retain"] = "name the term in objective.retain: hiddenStates, outputs or tokens",
        ["loss.retainWeight"] = "write objective.retain.hiddenStates.weight (or that of outputs or tokens)",
        ["loss.teacher"] = "write objective.retain.outputs.teacher",
        ["loss.forgetTokens"] = "write data.forgetTokens",
        ["loss.countPadding"] = "write data.countPadding",
        ["loss.normPenalty"] = $"{Term}write objective.forget.normPenalty.weight, or objective.forget.normPenalty=null for 0",
        ["loss.retainErrorWeight"] = $"{Term}write objective.retain.statesError.weight = retainErrorWeight * retainWeight",
        ["loss.promptVectors"] = $"{Term}write objective.forget.promptAdversary.vectors, or objective.forget.promptAdversary=null for 0",
        ["loss.promptSteps"] = "write objective.forget.promptAdversary.steps",
        ["loss.bound"] = "write objective.forget.bound={} for answerLoss and objective.forget.bound=null for none",
        ["loss.boundLevel"] = "write objective.forget.bound.level",
        ["loss.boundWidth"] = "write objective.forget.bound.width",
        ["loss.inBatchNegatives"] = Removed,
        ["loss.retainNoise"] = Removed,
        ["loss.retainVariants"] = Removed,
        ["loss.variantShare"] = Removed,
        ["loss.sharpness"] = Removed,
        ["loss.latentRadius"] = Removed,
        ["loss.latentSteps"] = Removed,
        ["offsetVector.form"] = "write objective.forget.contrastive.form",
        ["offsetVector.variance"] = "write objective.forget.contrastive.variance",
        ["offsetVector.perTopic"] = "write objective.forget.contrastive.perTopic",
        ["offsetVector.rank"] = Removed,
        ["combination.kind"] = "write objective.filters.conflictProjection={} for conflictProjection and =null for sum",
        ["combination.conflictWeights"] = "write objective.filters.conflictProjection.conflictWeights",
        ["combination.alignedWeights"] = "write objective.filters.conflictProjection.alignedWeights",
        ["combination.zeroNormThreshold"] = "write objective.filters.conflictProjection.zeroNormThreshold",
        ["combination.collapsedShare"] = Removed,
        ["hyperParameters.gamma"] =
            "write the weight of the method's forget term, such as objective.forget.npo.weight (scrub: objective.retain.answers.weight)",
        ["hyperParameters.alpha"] =
            "write the weight of the method's retain term, such as objective.retain.answers.weight (rmu: squaredError; scrub: "
            + "distillation; kl, llmu: outputs; circuit-breakers: objective.forget.rerouting.weight and objective.retain.distance.weight; "
            + "ssd: objective.edits.dampening.threshold; task-vector: objective.edits.negation.scale)",
        ["hyperParameters.beta"] = "write the beta of the method's forget term, such as objective.forget.npo.beta",
        ["hyperParameters.delta"] = "write objective.forget.simnpo.delta",
        ["hyperParameters.steeringCoefficient"] =
            "write objective.forget.misdirection.coefficient (adaptive-rmu: objective.forget.adaptiveMisdirection.coefficient)",
        ["hyperParameters.lambda"] = "write objective.forget.randomAnswers.weight (ssd: objective.edits.dampening.strength)",
        ["hyperParameters.randomAnswers"] = "write objective.forget.randomAnswers.count",
        ["hyperParameters.temperature"] =
            "write objective.forget.divergence.temperature and objective.retain.distillation.temperature",
        ["hyperParameters.forgetShare"] = "write objective.forget.divergence.share",
    };

    /// <summary>Refuses a key of an older run file; does nothing for any other.</summary>
    /// <param name="placeOf">Where a key path was written.</param>
    /// <param name="keyPath">The key path.</param>
    /// <param name="value">Its value; of a section each old key in it is named.</param>
    /// <exception cref="UserInputException">The key is an old one; the message says what to write instead.</exception>
    public static void Refuse(Func<string, string> placeOf, string keyPath, JsonNode? value)
    {
        var sections = Instead.Keys.Select(key => key[..key.IndexOf('.', StringComparison.Ordinal)]).Distinct();
        if (!sections.Contains(keyPath.Split('.')[0])) return;
        List<string> keys = value is JsonObject section && !keyPath.Contains('.', StringComparison.Ordinal)
            ? [.. section.Select(field => $"{keyPath}.{field.Key}")]
            : [keyPath];
        if (keys.Count == 0) keys.Add(keyPath);
        throw new UserInputException(
            $"{placeOf(keys[0])}: older run files had this key: "
                + string.Join(
                    "; ",
                    keys.Select(key => $"\"{key}\": {Instead.GetValueOrDefault(key, "objectives are lists of terms now (docs/falcon.md)")}")
                )
                + "."
        );
    }
}
