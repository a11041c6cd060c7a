using System.Globalization;
using System.Text;
using Falcon.Checkpoints;

namespace Falcon.Exchange;

/// <summary>The README.md of an adapter, with the hub's metadata.</summary>
internal static class AdapterCard
{
    public static string Text(LoraExportResult result, ModelOrigin origin, string baseName)
    {
        var text = new StringBuilder("---\nlibrary_name: peft\n");
        if (origin.HubName is { } name) text.Append(CultureInfo.InvariantCulture, $"base_model: {name}\n");
        foreach (var line in origin.CardLines) text.Append(line).Append('\n');
        text.Append("pipeline_tag: text-generation\ntags:\n- unlearning\n- falcon-unlearning\n- lora\n---\n\n");
        text.Append(
            CultureInfo.InvariantCulture,
            $"# What unlearning changed in {origin.HubName ?? baseName}, as a LoRA adapter of rank {result.Rank}\n\n"
        );
        text.Append(
            "For each changed matrix the adapter holds the leading singular triplets of the difference between the unlearned model and "
                + "the base (lora_alpha = r, so the scale is 1). What lies outside them is lost:\n"
        );
        text.Append(
            "an adapter is an approximation of the unlearned model, and whoever leaves it out has the base model with all its knowledge "
                + "back.\n\n"
        );
        text.Append(
            CultureInfo.InvariantCulture,
            $"Left out altogether: {result.Residual:P1} of the change (Frobenius norm).\n\n| matrix | rank | norm of the change | share "
                + $"left out |\n| --- | ---: | ---: | ---: |\n"
        );
        foreach (var matrix in result.Matrices)
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {matrix.Module} | {matrix.Rank} | {matrix.Norm:0.0000} | {matrix.Residual:P1} |\n"
            );
        if (result.Scores.Count > 0)
        {
            text.Append("\n| metric | base | unlearned | base with adapter |\n| --- | ---: | ---: | ---: |\n");
            foreach (var score in result.Scores)
                text.Append(
                    CultureInfo.InvariantCulture,
                    $"| {score.Metric} | {score.Base.Value:0.0000} | {score.Model.Value:0.0000} | {score.Adapter.Value:0.0000} |\n"
                );
        }
        else text.Append("\nThe effect on scores was not measured (export lora --suite NAMES --data PATH measures it).\n");

        text.Append("\n```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n");
        text.Append(
            CultureInfo.InvariantCulture,
            $"model = AutoModelForCausalLM.from_pretrained(\"{origin.HubName ?? baseName}\")\nmodel = PeftModel.from_pretrained(model, "
                + $"\"path/to/this/adapter\").merge_and_unload()\n```\n"
        );
        return text.ToString();
    }
}
