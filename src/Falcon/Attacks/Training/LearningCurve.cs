namespace Falcon.Attacks.Training;

/// <summary>Accuracy after given numbers of steps, in ascending order of the steps.</summary>
internal sealed record LearningCurve(IReadOnlyList<(int Steps, double Accuracy)> Points)
{
    /// <summary>
    /// Mean height above the first point: area under the curve (trapezoids) over its width, less the first accuracy.
    /// </summary>
    public double MeanGain
    {
        get
        {
            var area = Points.Zip(Points.Skip(1), (left, right) => (right.Steps - left.Steps) * (left.Accuracy + right.Accuracy) / 2).Sum();
            return area / (Points[^1].Steps - Points[0].Steps) - Points[0].Accuracy;
        }
    }

    /// <summary>The step at which the curve first reaches a level, interpolated; null where it never does.</summary>
    public double? StepsTo(double level)
    {
        if (Points[0].Accuracy >= level) return Points[0].Steps;
        foreach (var (left, right) in Points.Zip(Points.Skip(1)))
            if (right.Accuracy >= level)
                return left.Steps + (right.Steps - left.Steps) * (level - left.Accuracy) / (right.Accuracy - left.Accuracy);
        return null;
    }
}
