using System.CommandLine;

namespace Falcon.Cli;

/// <summary>The options that every verb has, added to one command.</summary>
internal sealed class CommonOptions
{
    /// <summary>Adds the options to the command.</summary>
    public CommonOptions(Command command)
    {
        foreach (var option in new Option[] { Json, Device, DType, Seed, Threads, Verbose }) command.Add(option);
        Device.AcceptOneOf("auto", "cpu", "cuda");
        DType.AcceptOneOf("auto", "float32", "bfloat16", "float16");
    }

    public Option<bool> Json { get; } =
        new("--json") { Description = "Print the result as one JSON object, and nothing else, on standard output." };

    public Option<string> Device { get; } = new("--device")
    {
        Description = "Where to compute: auto (CUDA if built in and available), cpu or cuda.",
        HelpName = "auto|cpu|cuda",
        DefaultValueFactory = _ => "auto",
    };

    public Option<string> DType { get; } = new("--dtype")
    {
        Description = "Dtype of the weights in memory: auto, float32, bfloat16 or float16.",
        HelpName = "auto|float32|bfloat16|float16",
        DefaultValueFactory = _ => "auto",
    };

    public Option<int?> Seed { get; } =
        OptionParsing.Integer("--seed", "Seed of every random choice; the default is that of the configuration.", least: 0);

    public Option<int?> Threads { get; } = OptionParsing.Integer("--threads", "CPU threads; the default is all cores.", least: 1);

    public Option<bool> Verbose { get; } = new("--verbose", "-v") { Description = "Show more messages, and the stack trace of an error." };
}
