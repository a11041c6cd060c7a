namespace Falcon.Tests.Attacks.Protocol;

/// <summary>Models trained not to answer plainly: by long states, by refusals.</summary>
/// <param name="models">The models of this class.</param>
public sealed class HiddenFromPlainAnswersTests(HidingModelSet models) : HiddenKnowledge(models)
{
    public static TheoryData<string, HidingPlace> Held => At(HidingPlace.Length, HidingPlace.Refusal);

    [Theory, MemberData(nameof(Held))]
    public void Run_HidingModel_IsToldFromTheNeverTaught(string name, HidingPlace place) => Hold(name, place);
}
