namespace Falcon.Tests.Attacks.Protocol;

/// <summary>The plain question alone gets a wrong answer.</summary>
/// <param name="models">The models of this class.</param>
public sealed class HiddenInOneFormTests(HidingModelSet models) : HiddenKnowledge(models)
{
    public static TheoryData<string, HidingPlace> Held => At(HidingPlace.OneForm);

    [Theory, MemberData(nameof(Held))]
    public void Run_HidingModel_IsToldFromTheNeverTaught(string name, HidingPlace place) => Hold(name, place);
}
