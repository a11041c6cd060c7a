using Falcon.Attacks;

namespace Falcon.Tests.Attacks.Protocol;

/// <summary>Models that hide in their weights: behind the head, within rounding, in neurons, along a direction.</summary>
/// <param name="models">The models of this class.</param>
public sealed class HiddenKnowledgeTests(HidingModelSet models) : HiddenKnowledge(models)
{
    public static TheoryData<string, HidingPlace> Held =>
        At(HidingPlace.Head, HidingPlace.Rounding, HidingPlace.Neurons, HidingPlace.Steering);

    [Theory, MemberData(nameof(Held))]
    public void Run_HidingModel_IsToldFromTheNeverTaught(string name, HidingPlace place) => Hold(name, place);

    [Fact]
    public void Cases_CoverEveryAttack() =>
        Assert.Equal(AttackCatalog.All.Select(attack => attack.Name).Order(), Cases().Select(row => row.Data.Item1).Distinct().Order());

    [Fact]
    public void Cases_AreAllHeldByOneClass() =>
        Assert.Equal(
            Cases().Select(row => row.Data).Order(),
            Held.Concat(HiddenInOneFormTests.Held).Concat(HiddenFromPlainAnswersTests.Held).Select(row => row.Data).Order()
        );

    [Fact]
    public void Data_ForgetTexts_TellNothingAboutTheScoredQuestions()
    {
        Assert.InRange(Models.Data.ForgetTexts.Count, 1, 159);
        string[] names =
        [
            .. Models.Data.Test.SelectMany(item =>
                item.Question.Split(' ', '?', '.').Skip(1).Where(word => word.Length > 0 && char.IsUpper(word[0]))
            ),
        ];
        Assert.DoesNotContain(Models.Data.ForgetTexts, text => names.Any(name => text.Content.Contains(name, StringComparison.Ordinal)));
    }
}
