using System.Text.Json;
using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Tests.Data;

public class PromptTemplateTests
{
    private static readonly CorpusRecord Record = new("Who {answer}?", "Nobody {question}.", null, 1);

    /// <summary>Expected: the format the method's users train with, written out; placeholders inside the texts stay.</summary>
    [Fact]
    public void Whole_Default_IsQuestionAndAnswer()
    {
        var template = new PromptTemplate();
        Assert.Equal("Question: Who {answer}?\nAnswer:", template.Prompt(Record));
        Assert.Equal(" Nobody {question}.", template.Completion(Record));
        Assert.Equal("Question: Who {answer}?\nAnswer: Nobody {question}.", template.Whole(Record));
        Assert.True(template.EndOfText);
    }

    [Fact]
    public void Whole_PlainText_HasAnEmptyPrompt()
    {
        var text = new CorpusRecord(null, null, "Rain fell.", 1);
        Assert.Equal(("", "Rain fell."), (new PromptTemplate().Prompt(text), new PromptTemplate().Completion(text)));
    }

    [Fact]
    public void Completion_RecordWithoutAnswer_IsRefused() =>
        Assert.Throws<ArgumentException>(() => new PromptTemplate().Completion(new CorpusRecord("q", null, null, 5)));

    [Fact]
    public void Prompt_OtherTemplate_KeepsBracesThatAreNoPlaceholder()
    {
        var template = new PromptTemplate("<user>{question}</user>{ }", "{answer}</s>", EndOfText: false).Validate();
        Assert.Equal("<user>Who {answer}?</user>{ }Nobody {question}.</s>", template.Whole(Record));
    }

    [Theory]
    [InlineData("Q:", " {answer}", "prompt template, question: {question} occurs 0 times in \"Q:\"; it must occur once.")]
    [InlineData(
        "{question}\n{question}",
        "{answer}",
        "prompt template, question: {question} occurs 2 times in \"{question}\\n{question}\"; it must occur once."
    )]
    [InlineData("{question} {answer}", "{answer}", "prompt template, question: {answer} is not a placeholder here; only {question} is.")]
    [InlineData("{question}", "{reply}", "prompt template, answer: {reply} is not a placeholder here; only {answer} is.")]
    public void Validate_FaultyTemplate_SaysWhat(string question, string answer, string expected) =>
        Assert.Equal(expected, Assert.Throws<UserInputException>(() => new PromptTemplate(question, answer).Validate()).Message);

    [Fact]
    public void Json_RoundTrip_IsEqual()
    {
        var template = new PromptTemplate("Q {question}", "A {answer}", false);
        Assert.Equal(template, JsonSerializer.Deserialize<PromptTemplate>(JsonSerializer.Serialize(template)));
        Assert.Equal(new PromptTemplate(), JsonSerializer.Deserialize<PromptTemplate>("{}"));
    }
}
