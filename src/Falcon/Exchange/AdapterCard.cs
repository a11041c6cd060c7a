using System.Globalization;
using System.Text;
using Falcon.Checkpoints;

namespace Falcon.Exchange;

/// <summary>The README.md of an adapter: a model card with the hub's metadata.</summary>
internal static class AdapterCard
{
    public static string Text(LoraExportResult result, ModelOrigin origin, string baseName)
    {
        var name = origin.HubName ?? baseName;
        var place = origin.HubName ?? "path/to/the/base/model";
        var text = new StringBuilder("---\nlibrary_name: peft\n");
        if (origin.HubName is { } hub) text.Append(CultureInfo.InvariantCulture, $"base_model: {hub}\n");
        foreach (var line in origin.CardLines) text.Append(line).Append('\n');
        text.Append("pipeline_tag: text-generation\ntags:\n- unlearning\n- falcon-unlearning\n- lora\n---\n\n");
        text.Append(
            CultureInfo.InvariantCulture,
            $"""
            # What unlearning changed in {name}, as a LoRA adapter of rank {result.Rank}

            For each changed matrix the adapter holds the leading singular triplets of the difference between the unlearned model
            and the base (lora_alpha = r, so the scale is 1). The rest of the change is lost: the adapter approximates the unlearned
            model. Without the adapter, the base model has all its knowledge back.

            Left out in total: {result.Residual:P1} of the change (Frobenius norm).

            | matrix | rank | norm of the change | share left out |
            | --- | ---: | ---: | ---: |

            """
        );
        foreach (var matrix in result.Matrices)
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {matrix.Module} | {matrix.Rank} | {matrix.Norm:0.0000} | {matrix.Residual:P1} |\n"
            );
        AppendScores(text, result.Scores);
        if (origin.HubName is null)
            text.Append(
                "\nThe base model's name on a hub is not known, so adapter_config.json has no base_model_name_or_path: load the base model "
                    + "first and the adapter onto it, as below.\n"
            );
        foreach (var note in result.Notes) text.Append(CultureInfo.InvariantCulture, $"\n{note}\n");
        text.Append(
            CultureInfo.InvariantCulture,
            $"""

            ```python
            from peft import PeftModel
            from transformers import AutoModelForCausalLM

            model = AutoModelForCausalLM.from_pretrained("{place}")
            model = PeftModel.from_pretrained(model, "path/to/this/adapter").merge_and_unload()
            ```

            """
        );
        return text.ToString();
    }

    private static void AppendScores(StringBuilder text, IReadOnlyList<AdapterScore> scores)
    {
        if (scores.Count == 0)
        {
            text.Append("\nThe effect on scores was not measured (export lora --suite NAMES --data PATH measures it).\n");
            return;
        }

        text.Append("\n| metric | base | unlearned | base with adapter |\n| --- | ---: | ---: | ---: |\n");
        foreach (var score in scores)
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {score.Metric} | {score.Base.Value:0.0000} | {score.Model.Value:0.0000} | {score.Adapter.Value:0.0000} |\n"
            );
    }
}
