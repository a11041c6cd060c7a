using System.Globalization;
using System.Text.Json;
using static TorchSharp.torch;

namespace Falcon.Tests;

/// <summary>
/// One golden file pair (.json with cases and scalars, .safetensors with tensors) of the falcon folder, and comparisons with it.
/// </summary>
internal sealed class GoldenCases
{
    private GoldenCases(string name)
    {
        Json = JsonDocument.Parse(File.ReadAllBytes(Fixtures.At("falcon", name + ".json"))).RootElement;
        Tensors = new FixtureTensors(Fixtures.At("falcon", name + ".safetensors"));
    }

    /// <summary>The whole .json.</summary>
    public JsonElement Json { get; }

    /// <summary>The tensors of the same name.</summary>
    public FixtureTensors Tensors { get; }

    /// <summary>Opens the pair of this name; skips the test where there is none.</summary>
    public static GoldenCases OrSkip(string name)
    {
        if (!File.Exists(Fixtures.At("falcon", name + ".json")))
            Assert.Skip($"no golden numbers at {Fixtures.At("falcon", name + ".json")}");
        return new GoldenCases(name);
    }

    /// <summary>
    /// The names below "cases", for a theory; one empty name where the file is absent, so that the test is shown as skipped.
    /// </summary>
    public static TheoryData<string> Names(string file)
    {
        var data = new TheoryData<string>();
        if (!File.Exists(Fixtures.At("falcon", file + ".json"))) data.Add("");
        else foreach (var entry in OrSkip(file).Json.GetProperty("cases").EnumerateObject()) data.Add(entry.Name);
        return data;
    }

    /// <summary>The case of this name.</summary>
    public JsonElement Case(string name) => Json.GetProperty("cases").GetProperty(name);

    /// <summary>A number that may be stored as the word NaN, Infinity or -Infinity.</summary>
    public static double Number(JsonElement element) => element.ValueKind == JsonValueKind.String
        ? double.Parse(element.GetString()!, CultureInfo.InvariantCulture) : element.GetDouble();

    /// <summary>Fails unless the shapes agree and every element is within <paramref name="tolerance"/> of the expected one.</summary>
    public static void Close(Tensor expected, Tensor actual, double tolerance, string what)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(expected.numel(), actual.numel());
        var difference = (expected.to(float64).reshape(-1) - actual.to(float64).reshape(-1)).abs().max().item<double>();
        Assert.True(
            difference <= tolerance,
            string.Create(CultureInfo.InvariantCulture, $"{what}: differs by {difference:G4}, tolerance {tolerance:G4}")
        );
    }

    /// <summary>As <see cref="Close"/>, with the tolerance relative to the largest expected magnitude.</summary>
    public static void CloseRelative(Tensor expected, Tensor actual, double tolerance, string what) =>
        Close(expected, actual, tolerance * Math.Max(expected.abs().max().to(float64).item<double>(), 1e-300), what);
}
