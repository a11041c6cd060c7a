using Falcon.Data;
using Falcon.Engine;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Tests.Methods;

/// <summary>Which retain texts go with which forget file.</summary>
public sealed class TopicTextsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly HfTokenizer _tokenizer;
    private readonly string _first,
        _second,
        _keep,
        _other;

    public TopicTextsTests()
    {
        _tokenizer = HfTokenizer.Load(TinyCheckpoint.Write(_folder.At("model")));
        string Texts(string name, params string[] lines)
        {
            File.WriteAllLines(_folder.At(name), lines);
            return _folder.At(name);
        }

        _first = Texts("first.txt", "the sea is wide");
        _second = Texts("second.txt", "the hill is high");
        _keep = Texts("keep.txt", "bread is baked", "tea is hot");
        _other = Texts("other.txt", "rain falls");
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Read_OneForgetFile_KeepsTheTextsOfAllRetainFiles()
    {
        var topic = Assert.Single(
            TopicTexts.Read(
                new DataSettings { Forget = [_first], Retain = [_keep, _other] },
                new PromptEncoder(_tokenizer, new PromptForm())
            )
        );
        Assert.Equal([_tokenizer.Encode("bread is baked"), _tokenizer.Encode("tea is hot"), _tokenizer.Encode("rain falls")], topic.Retain);
        Assert.Equal([0, 0, 0], topic.RetainAnswers);
    }

    [Fact]
    public void Read_AsManyRetainFiles_GivesEachForgetFileItsOwn()
    {
        var topics = TopicTexts.Read(
            new DataSettings { Forget = [_first, _second], Retain = [_keep, _other] },
            new PromptEncoder(_tokenizer, new PromptForm())
        );
        Assert.Equal([2, 1], topics.Select(topic => topic.Retain.Count));
    }

    [Fact]
    public void Read_OneRetainFile_IsSharedByAll()
    {
        var topics = TopicTexts.Read(
            new DataSettings { Forget = [_first, _second], Retain = [_keep] },
            new PromptEncoder(_tokenizer, new PromptForm())
        );
        Assert.Same(topics[0].Retain, topics[1].Retain);
    }

    [Theory]
    [InlineData(1, 3, true)]
    [InlineData(2, 1, true)]
    [InlineData(2, 2, true)]
    [InlineData(2, 3, false)]
    [InlineData(1, 0, false)]
    public void Analyze_NumberOfRetainFiles_IsChecked(int forget, int retain, bool holds)
    {
        var config = new AnalyzeConfig
        {
            Model = "model",
            Data = new DataSettings { Forget = [.. Enumerable.Repeat(_first, forget)], Retain = [.. Enumerable.Repeat(_keep, retain)] },
        };
        var error = Record.Exception(config.Validate);
        if (holds)
            Assert.Null(error);
        else
            Assert.Contains("data.retain: ", Assert.IsType<UserInputException>(error).Message, StringComparison.Ordinal);
    }
}
