using Falcon.Runtime;

namespace Falcon.Tests.Runtime;

public sealed class OutputFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("falcon-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Write_NewAndAgain_LeavesOneWholeFile()
    {
        var path = Path.Combine(_folder, "a", "result.json");
        OutputFile.Write(path, "one");
        OutputFile.Write(path, "two");

        Assert.Equal("two", File.ReadAllText(path));
        Assert.Single(Directory.EnumerateFileSystemEntries(Path.GetDirectoryName(path)!));
    }

    [Fact]
    public void Write_Directory_IsRefused() => Assert.Throws<UserInputException>(() => OutputFile.Write(_folder, "x"));
}
