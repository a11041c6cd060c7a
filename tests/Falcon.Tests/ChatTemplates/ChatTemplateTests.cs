using Falcon.ChatTemplates;
using Falcon.Runtime;

namespace Falcon.Tests.ChatTemplates;

/// <summary>What the golden cases do not reach. Expected texts were computed once with Jinja2 3.1 in the setting of transformers.</summary>
public sealed class ChatTemplateTests
{
    private static readonly Dictionary<string, object?> Variables = new()
    {
        ["n"] = 7,
        ["s"] = "aBc dEf-gh",
        ["l"] = new[] { 3, 1, 2 },
        ["d"] = new Dictionary<string, object?> { ["b"] = 1, ["A"] = 2L, ["c"] = new object?[] { 1, "x", null } },
    };

    [Theory]
    [InlineData(
        "{{ -n // 2 }} {{ -n % 3 }} {{ n / 2 }} {{ 2 ** -1 }} {{ 6 / 3 }} {{ 2 ** 3 ** 2 }} {{ true + 1 }}",
        "-4 2 3.5 0.5 2.0 64 2"
    )]
    [InlineData(
        "{{ 1e16 }} {{ 0.00001 }} {{ 123456789.125 }} {{ 0.1 + 0.2 }} {{ 1 / 3 }}",
        "1e+16 1e-05 123456789.125 0.30000000000000004 0.3333333333333333"
    )]
    [InlineData(
        "{{ s.title() }} {{ s | title }} {{ \"o'neil x2y\" | title }} {{ \"o'neil x2y\".title() }}",
        "Abc Def-Gh Abc Def-Gh O'neil X2y O'Neil X2Y"
    )]
    [InlineData(
        "{{ ' a  b '.split() }} {{ ' a  b '.split(' ') }} {{ ' a b  c '.split(none, 1) }}",
        "['a', 'b'] ['', 'a', '', 'b', ''] ['a', 'b  c ']"
    )]
    [InlineData("{{ l[::-1] }} {{ l[5] }}| {{ 'abcdef'[4:1:-2] }} {{ '😀é'[0] }} {{ '😀é' | length }}", "[2, 1, 3] | ec 😀 2")]
    [InlineData(
        "{{ d | dictsort }} {{ d | tojson }} {{ d.q is defined }} {{ d.get('q', 5) }}",
        "[('A', 2), ('b', 1), ('c', [1, 'x', None])] {\"b\": 1, \"A\": 2, \"c\": [1, \"x\", null]} False 5"
    )]
    [InlineData("{% set a = 1 %}{% for i in l %}{% set a = a + i %}{{ a }},{% endfor %}{{ a }}", "4,2,3,1")]
    [InlineData("{% set ns = namespace(a=1) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}", "7")]
    [InlineData("{% macro m(a, b=a) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(b=5, a=4) }}", "[11][45]")]
    [InlineData("{% set t | trim | upper %} b {{ n }}{% endset %}[{{ t }}]", "[B 7]")]
    [InlineData("{% raw %}{{ x }} {% if %}{% endraw %} {%- raw -%} {{ y }} {%- endraw -%} q", "{{ x }} {% if %}{{ y }}q")]
    [InlineData("  {%+ if true %}a{%+ endif +%}\nb{% if true +%}\nc{% endif %}", "  a\nb\nc")]
    [InlineData("x\n   {%- if true %}\n  y\n  {% endif -%}\n\n z", "x  y\nz")]
    [InlineData("{% for (k, v) in d.items() %}{{ k }}{% endfor %}", "bAc")]
    [InlineData("{{ missing }}|{{ missing ~ 'a' }}|{{ missing | length }}|{{ 'a' in missing }}", "|a|0|False")]
    public void Render_Construct_GivesWhatJinjaGives(string source, string expected) =>
        Assert.Equal(expected, ChatTemplate.Parse(source).Render(Variables));

    [Theory]
    [InlineData("a\n{% include 'x' %}", 2, "'include'")]
    [InlineData("a\n\n{{ s | truncate(3) }}", 3, "'truncate'")]
    [InlineData("{{ s is upper }}", 1, "'upper'")]
    [InlineData("{{ s", 1, "does not end")]
    [InlineData("{% if n %}\nx", 2, "ends inside a block")]
    [InlineData("{{ lipsum() }}", 1, "'lipsum'")]
    [InlineData("{{ (1 }}", 1, "}")]
    [InlineData("{% break %}", 1, "outside a loop")]
    public void Parse_UnknownConstruct_NamesItAndTheLine(string source, int line, string part)
    {
        var error = Assert.Throws<UnsupportedCheckpointException>(() => ChatTemplate.Parse(source));

        Assert.Contains($"line {line}", error.Message, StringComparison.Ordinal);
        Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\n{{ missing.x }}", 2)]
    [InlineData("{{ s.zfill(3) }}", 1)]
    [InlineData("{{ d.pop('b') }}", 1)]
    [InlineData("{{ 'a' + 1 }}", 1)]
    [InlineData("{{ s % 3 }}", 1)]
    [InlineData("{{ 1 // 0 }}", 1)]
    [InlineData("{{ range(10000000) }}", 1)]
    [InlineData("{% for i in l %}{{ loop.cycle(1, 2) }}{% endfor %}", 1)]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", 1)]
    public void Render_ImpossibleOperation_NamesTheLine(string source, int line)
    {
        var template = ChatTemplate.Parse(source);

        var error = Assert.Throws<UnsupportedCheckpointException>(() => template.Render(Variables));

        Assert.Contains($"line {line}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Parse_DeepNesting_IsAnErrorNotACrash() =>
        Assert.Throws<UnsupportedCheckpointException>(() =>
            ChatTemplate.Parse("{{ " + new string('(', 200_000) + "1" + new string(')', 200_000) + " }}")
        );

    [Fact]
    public void Render_RaiseException_CarriesTheTemplatesMessage() =>
        Assert.Equal(
            "no 7",
            Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse("{{ raise_exception('no ' ~ n) }}").Render(Variables)).Message
        );

    [Fact]
    public void Render_StrftimeNow_TellsTheGivenTime() =>
        Assert.Equal(
            "26 Jul 2024",
            ChatTemplate.Parse("{{ strftime_now('%d %b %Y') }}").Render(Variables, new DateTimeOffset(2024, 7, 26, 0, 0, 0, TimeSpan.Zero))
        );

    [Fact]
    public void Render_Append_DoesNotChangeTheCallersList()
    {
        var list = new List<object?> { 1 };

        Assert.Equal(
            "[1, 2]",
            ChatTemplate.Parse("{% set _ = l.append(2) %}{{ l }}").Render(new Dictionary<string, object?> { ["l"] = list })
        );

        Assert.Single(list);
    }
}
