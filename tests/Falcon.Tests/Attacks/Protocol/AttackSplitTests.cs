using Falcon.Attacks.Protocol;

namespace Falcon.Tests.Attacks.Protocol;

public class AttackSplitTests
{
    private static readonly string[] Questions =
    [
        "Where does Ansel Brook live?",
        "What does Brook paint?",
        "Who taught Marta Quill?",
        "What is the age of Quill?",
        "Where is the Dorn lock?",
        "Who cast the Dorn lock?",
        "Where is the Velt lock?",
        "Who cast the Velt lock?",
    ];

    [Fact]
    public void Groups_QuestionsThatShareAName_AreTogether()
    {
        var groups = FactGroups.Of(Questions).GroupOf;
        Assert.Equal([0, 0, 1, 1, 2, 2, 3, 3], groups);
    }

    [Fact]
    public void Groups_TheSameQuestionWithoutNames_IsOneGroup() =>
        Assert.Equal([0, 1, 0], FactGroups.Of(["what is it?", "what was it?", "What is it?"]).GroupOf);

    [Fact]
    public void Groups_ANameInManyQuestions_TellsNothingApart()
    {
        var questions = Enumerable.Range(0, 40).Select(i => $"what does World hold at place {i}?").ToList();
        Assert.Equal(40, FactGroups.Of(questions).GroupOf.Distinct().Count());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Of_Halves_ShareNoGroupAndBothHaveEveryFile(ulong seed)
    {
        var groups = FactGroups.Of(Questions).GroupOf;
        int[] files = [0, 0, 0, 0, 1, 1, 1, 1];
        var split = AttackSplit.Of(groups, files, seed)!;
        Assert.Empty(split.Development.Select(i => groups[i]).Intersect(split.Test.Select(i => groups[i])));
        Assert.Equal(Questions.Length, split.Development.Concat(split.Test).Distinct().Count());
        Assert.Equal([0, 1], split.Development.Select(i => files[i]).Distinct());
        Assert.Equal([0, 1], split.Test.Select(i => files[i]).Distinct());
    }

    [Fact]
    public void Of_OneGroup_CannotBeSplit() => Assert.Null(AttackSplit.Of([0, 0, 0], [0, 0, 0], 0));

    [Fact]
    public void Mentions_ANameInAnAnswer_IsFound()
    {
        var keys = FactGroups.Of(Questions).KeysOf(Questions[0]).ToHashSet();
        Assert.True(FactGroups.Mentions("It was Brook.", keys));
        Assert.True(FactGroups.Mentions("where does ansel brook live?", keys));
        Assert.False(FactGroups.Mentions("A brook in the wood.", keys));
    }
}
