using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Gradients;

/// <summary>
/// How the forget and the retain gradient of one parameter become one update direction. Without a filter they are added up.
/// </summary>
public abstract record GradientFilter : Term
{
    /// <summary>The factors of the two gradients.</summary>
    /// <param name="forget">Gradient of the forget loss, any shape.</param>
    /// <param name="retain">Gradient of the retain loss, same shape.</param>
    /// <exception cref="Runtime.NumericalFailureException">A gradient is not finite.</exception>
    public abstract GradientMix Mix(Tensor forget, Tensor retain);
}

/// <summary>A change of the trained parameters after the last step.</summary>
public abstract record WeightEdit : Term
{
    /// <summary>Changes the parameters.</summary>
    /// <param name="inputs">Models and texts; <see cref="TermInputs.Trained"/> is changed.</param>
    public abstract void Apply(TermInputs inputs);
}
