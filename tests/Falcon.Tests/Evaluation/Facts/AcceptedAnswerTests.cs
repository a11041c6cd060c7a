using Falcon.Evaluation.Facts;

namespace Falcon.Tests.Evaluation.Facts;

public sealed class AcceptedAnswerTests
{
    [Theory]
    [InlineData("The capital of Italy is Rome.", "Rome", false, true)]
    [InlineData("the capital is ROME", "Rome", false, true)]
    [InlineData("the capital is ROME", "Rome", true, false)]
    [InlineData("Romeo and Juliet, then Rome", "Rome", false, true)] // a part of a word, then the word
    [InlineData("Romeo and Juliet", "Rome", false, false)]
    [InlineData("It is Ag2O", "Ag", true, false)]
    [InlineData("the symbol _Ag_", "Ag", true, false)]
    [InlineData("the symbol is \"Ag\".", "Ag", true, true)]
    [InlineData("Reykjavík", "Reykjavik", false, true)]
    [InlineData("Reykjavik", "Reykjavík", false, true)]
    [InlineData("Reykjavik", "Reykjavík", true, false)]
    [InlineData("in the United Kingdom", "United Kingdom", false, true)]
    [InlineData("29", "2", false, false)]
    [InlineData("𝔸Rome", "Rome", true, false)] // a letter outside the first plane is a letter
    [InlineData("", "Rome", false, false)]
    public void IsIn_WholeWords(string text, string accepted, bool caseSensitive, bool expected) =>
        Assert.Equal(expected, AcceptedAnswer.IsIn(text, [accepted], caseSensitive));

    [Fact]
    public void IsIn_AnyOfSeveral() => Assert.True(AcceptedAnswer.IsIn("Kiev, the old city", ["Kyiv", "Kiev"], false));

    [Fact]
    public void IsIn_HalfACharacter_IsNoFault() => Assert.True(AcceptedAnswer.IsIn("\ud83d Rome", ["Rome"], false));
}
