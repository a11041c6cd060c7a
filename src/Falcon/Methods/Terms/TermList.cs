using Falcon.Methods.Baselines;
using Falcon.Methods.Falcon;
using Falcon.Methods.Gradients;
using Falcon.Methods.Preference;

namespace Falcon.Methods.Terms;

/// <summary>The terms of the library, one line each; the name is the kind in run files.</summary>
internal static class TermList
{
    public static void Register()
    {
        // Forget terms of FALCON.
        TermKinds.Register<Contrastive>("contrastive");
        TermKinds.Register<NormPenalty>("normPenalty");
        TermKinds.Register<PromptAdversary>("promptAdversary");
        TermKinds.Register<AnswerBound>("bound");

        // Forget terms of the baselines.
        TermKinds.Register<Ascent>("ascent");
        TermKinds.Register<NegativePreference>("npo");
        TermKinds.Register<SimpleNegativePreference>("simnpo");
        TermKinds.Register<RefusalPreference>("refusals");
        TermKinds.Register<AlternativePreference>("alternatives");
        TermKinds.Register<LoweredLogits>("undial");
        TermKinds.Register<WeightedAscent>("wga");
        TermKinds.Register<SaturationImportance>("satimp");
        TermKinds.Register<UnlikelyLabels>("ceu");
        TermKinds.Register<LogitMargin>("logitMargin");
        TermKinds.Register<RefusalDivergence>("refusalDivergence");
        TermKinds.Register<RandomAnswers>("randomAnswers");
        TermKinds.Register<TeacherDivergence>("divergence");
        TermKinds.Register<ForgetAnswers>("answers");
        TermKinds.Register<Misdirection>("misdirection");
        TermKinds.Register<AdaptiveMisdirection>("adaptiveMisdirection");
        TermKinds.Register<Rerouting>("rerouting");

        // Retain terms.
        TermKinds.Register<HiddenStates>("hiddenStates");
        TermKinds.Register<StatesError>("statesError");
        TermKinds.Register<Outputs>("outputs");
        TermKinds.Register<Tokens>("tokens");
        TermKinds.Register<Answers>("answers");
        TermKinds.Register<SquaredError>("squaredError");
        TermKinds.Register<TemperedOutputs>("distillation");
        TermKinds.Register<StatesDistance>("distance");
        TermKinds.Register<AnswerDivergence>("answerDivergence");
        TermKinds.Register<LossLimit>("lossLimit");

        // Gradient filters, and edits after the last step.
        TermKinds.Register<ConflictProjection>("conflictProjection");
        TermKinds.Register<Dampening>("dampening");
        TermKinds.Register<Negation>("negation");
    }
}
