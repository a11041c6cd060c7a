using System.Text.Json;
using Falcon.Exchange.Gguf;
using Falcon.Runtime;

namespace Falcon.Tests.Exchange.Gguf;

/// <summary>Damaged files are refused with a message that names what is wrong; the others are read (fixtures/gguf/faults).</summary>
[Trait("Category", "Parity")]
public sealed class GgufFaultTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string, string> Cases()
    {
        TheoryData<string, string, string> cases = [];
        var path = Fixtures.At("gguf", "faults", "verdicts.json");
        if (!File.Exists(path))
            cases.Add("", "", "");
        else
            foreach (var one in JsonDocument.Parse(File.ReadAllBytes(path)).RootElement.EnumerateArray())
                cases.Add(
                    one.GetProperty("file").GetString()!,
                    one.GetProperty("verdict").GetString()!,
                    one.GetProperty("messageShouldName").GetString() ?? ""
                );
        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Import_EachFile_IsReadOrRefusedAsItShould(string file, string verdict, string named)
    {
        if (file.Length == 0)
            Assert.Skip("no damaged files");
        var path = Fixtures.At("gguf", "faults", file);
        var result = Record.Exception(() => GgufImport.Execute(path, _folder.At("out"), "float32", RunContext.Quiet));
        Assert.Equal(result is null, Directory.Exists(_folder.At("out")));
        Assert.False(Directory.Exists(_folder.At("out.partial")));
        if (verdict == "accept")
            Assert.Null(result);
        if (verdict != "reject")
        {
            Assert.True(result is null or UserInputException or UnsupportedCheckpointException, $"{result}");
            return;
        }

        var error = result!;
        Assert.True(error is UserInputException or UnsupportedCheckpointException, $"{error}");
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        // What follows the name of a key or tensor is prose.
        if (named.Contains('.', StringComparison.Ordinal))
            Assert.Contains(named.Split(',', '/')[0].Trim(), error.Message, StringComparison.Ordinal);
    }
}
