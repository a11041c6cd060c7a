using System.Text.Json;
using Falcon.ChatTemplates;

namespace Falcon.Tests.ChatTemplates;

/// <summary>
/// One small template for each construct, filter, test and method that published templates use. Expected texts were computed once with
/// Jinja2 3.1 in the setting of transformers (trim_blocks, lstrip_blocks, loop controls, its tojson).
/// </summary>
public sealed class ChatTemplateJinjaTests
{
    private static readonly JsonElement Cases = JsonDocument
        .Parse(File.ReadAllText(Path.Combine(Fixtures.RepositoryRoot, "tests", "fixtures", "chat-templates", "jinja.json")))
        .RootElement;

    private static readonly Dictionary<string, object?> Function = new()
    {
        ["name"] = "f",
        ["arguments"] = new Dictionary<string, object?> { ["x"] = 1.5, ["é"] = new object?[] { true, null } },
    };

    private static readonly Dictionary<string, object?> Variables = new()
    {
        ["n"] = 7,
        ["s"] = "aBc dEf-gh",
        ["l"] = new[] { 3, 1, 2 },
        ["d"] = new Dictionary<string, object?> { ["b"] = 1, ["A"] = 2L, ["c"] = new object?[] { 1, "x", null } },
        ["m"] = new object?[]
        {
            new Dictionary<string, object?> { ["role"] = "system", ["content"] = " You\n are " },
            new Dictionary<string, object?> { ["role"] = "user", ["content"] = "Hi <b>" },
            new Dictionary<string, object?>
            {
                ["role"] = "assistant",
                ["content"] = "Yo",
                ["tool_calls"] = new object?[] { new Dictionary<string, object?> { ["function"] = Function } },
            },
        },
    };

    public static TheoryData<string, string> Templates() =>
        [.. Cases.EnumerateArray().Select(one => (one[0].GetString()!, one[1].GetString()!))];

    [Theory, MemberData(nameof(Templates))]
    public void Render_GivesWhatJinjaGives(string source, string expected) =>
        Assert.Equal(expected, ChatTemplate.Parse(source).Render(Variables));
}
