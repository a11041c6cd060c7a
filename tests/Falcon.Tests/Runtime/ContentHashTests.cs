using System.Text;
using Falcon.Runtime;

namespace Falcon.Tests.Runtime;

public sealed class ContentHashTests : IDisposable
{
    // SHA-256 of "abc" as published in FIPS 180-2, appendix B.1.
    private const string HashOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    private readonly string _folder = Directory.CreateTempSubdirectory("falcon-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Write(string name, string text)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, text);
        return path;
    }

    [Fact]
    public void OfFile_PublishedExample_AgreesWithTheStandard() => Assert.Equal(HashOfAbc, ContentHash.OfFile(Write("f", "abc")));

    [Fact]   // the file is three reading pieces long; the expected number comes from one call over all bytes
    public void OfFile_SeveralPieces_EqualsTheHashOfAllBytes()
    {
        var text = new string('a', 3 << 20);
        Assert.Equal(
            Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.ASCII.GetBytes(text))),
            ContentHash.OfFile(Write("f", text))
        );
    }

    [Fact]
    public void OfModel_OneFile_IsTheHashOfThatFile()
    {
        Write("model.safetensors", "abc");
        Write("config.json", "not a weight");

        var hash = ContentHash.OfModel(_folder);

        Assert.Equal(HashOfAbc, hash.Sha256);
        Assert.Equal([new FileHash("model.safetensors", 3, HashOfAbc)], hash.Files);
    }

    [Fact]   // the number was printed by: printf abc > b.safetensors; printf '' > a.safetensors; sha256sum *.safetensors | sha256sum
    public void OfModel_Shards_IsWhatSha256sumPrints()
    {
        Write("b.safetensors", "abc");
        Write("a.safetensors", "");

        Assert.Equal("2103dfed16ee882912fdd1827dbb1fc64af654ff953db30022957e1cddd155d7", ContentHash.OfModel(_folder).Sha256);
    }

    [Fact]
    public void OfModel_NoWeights_IsRefused()
    {
        Assert.Contains(
            "no *.safetensors",
            Assert.Throws<UserInputException>(() => ContentHash.OfModel(_folder)).Message,
            StringComparison.Ordinal
        );
        Assert.Contains(
            "no such directory",
            Assert.Throws<UserInputException>(() => ContentHash.OfModel(Path.Combine(_folder, "x"))).Message,
            StringComparison.Ordinal
        );
        Assert.Contains(
            "no such file",
            Assert.Throws<UserInputException>(() => ContentHash.OfFile(Path.Combine(_folder, "x"))).Message,
            StringComparison.Ordinal
        );
    }
}
