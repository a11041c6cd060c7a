using System.Text.Json;
using Falcon.ChatTemplates;
using Falcon.Runtime;

namespace Falcon.Tests.ChatTemplates;

/// <summary>Rendered text against that of Jinja2 set up as transformers does, for every case among the fixtures.</summary>
[Trait("Category", "Parity"), Trait("Parity", "true")]
public sealed class ChatTemplateParityTests
{
    private static readonly string Path = Fixtures.At("chat-templates", "cases.json");
    private static readonly Lazy<JsonElement> Read = new(() => JsonDocument.Parse(File.ReadAllBytes(Path)).RootElement);

    private static JsonElement Golden => Read.Value;

    public static TheoryData<int> Cases() =>
        File.Exists(Path) ? [.. Enumerable.Range(0, Golden.GetProperty("cases").GetArrayLength())] : [-1];

    [Theory, MemberData(nameof(Cases))]
    public void Render_GoldenCase_GivesTheSameTextOrFails(int index)
    {
        Assert.SkipWhen(index < 0, $"no fixtures at {Path}");
        var golden = Golden.GetProperty("cases")[index];
        var source = Golden.GetProperty("templates").GetProperty(golden.GetProperty("template").GetString()!).GetString()!;
        var variables = golden
            .GetProperty("variables")
            .EnumerateObject()
            .ToDictionary(variable => variable.Name, variable => (object?)variable.Value);

        string Render() => ChatTemplate.Parse(source).Render(variables);

        if (golden.TryGetProperty("rendered", out var rendered))
            Assert.Equal(rendered.GetString(), Render());
        else if (golden.GetProperty("error").GetString() == "TemplateError")
            Assert.Equal(golden.GetProperty("message").GetString(), Assert.Throws<ChatTemplateException>(Render).Message);
        else
            Assert.ThrowsAny<FalconException>(Render);
    }
}
