using Falcon.Exchange.Adapters;
using Falcon.Runtime;

namespace Falcon.Tests.Exchange.Adapters;

/// <summary>Regular expressions as Python's re reads them (its documentation, by hand).</summary>
public sealed class PythonPatternTests
{
    [Theory]
    [InlineData(@".*\.q_proj", "model.layers.0.q_proj", true)]
    [InlineData("q_proj", "model.layers.0.q_proj", false)] // the whole name
    [InlineData("a|model.b", "model.b", true)]
    [InlineData("a|model.b", "model.bc", false)]
    [InlineData(@"(?P<layer>\d+)\.x\Z", "12.x", true)]
    [InlineData("a{,2}b", "aab", true)]
    [InlineData("a{,2}b", "aaab", false)]
    [InlineData("[]a]+", "a]", true)]
    [InlineData(@"(?!.*vision).*proj", "model.vision.proj", false)]
    [InlineData("(?i)Q_Proj", "q_proj", true)]
    public void Whole_Fits(string pattern, string name, bool expected) =>
        Assert.Equal(expected, PythonPattern.Whole(pattern, "here").Fits(name));

    [Theory]
    [InlineData("q_proj", "model.q_proj", true)]
    [InlineData("q_proj", "q_proj", true)]
    [InlineData("q_proj", "model.uq_proj", false)]
    [InlineData("^model.q", "model.q", true)]
    [InlineData("^layers.q", "model.layers.q", false)]
    [InlineData("q|v", "model.v", true)]
    public void Ending_Fits(string pattern, string name, bool expected) =>
        Assert.Equal(expected, PythonPattern.Ending(pattern, "here").Fits(name));

    [Theory]
    [InlineData("lm_head", "lm_head", true)]
    [InlineData("mlp", "model.mlp.up_proj", true)]
    [InlineData("mlp", "model.mlps.up_proj", false)]
    public void Part_Fits(string pattern, string name, bool expected) =>
        Assert.Equal(expected, PythonPattern.Part(pattern, "here").Fits(name));

    [Theory]
    [InlineData(@"\p{L}+")]
    [InlineData("[a-z-[q]]")]
    [InlineData(@"(a)\1")]
    [InlineData("(?#x)a")]
    [InlineData("(?'n'a)")]
    [InlineData("a++")]
    [InlineData("(")]
    [InlineData(@"[\p{L}]")]
    [InlineData(@"\Ga")]
    public void Whole_WhatTheTwoReadDifferently_IsRefused(string pattern) =>
        Assert.Contains(
            "here",
            Assert.Throws<UnsupportedCheckpointException>(() => PythonPattern.Whole(pattern, "here")).Message,
            StringComparison.Ordinal
        );
}
