using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Falcon.Cli;

/// <summary>A verb with examples, which its help shows at the end.</summary>
internal sealed class Verb(string name, string description, params string[] examples) : Command(name, description)
{
    private readonly string[] _examples = examples;

    /// <summary>Adds the examples to the help of every verb below the root.</summary>
    public static void ShowExamplesIn(RootCommand root)
    {
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpWithExamples((HelpAction)help.Action!);
    }

    private sealed class HelpWithExamples(HelpAction help) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            var code = help.Invoke(parseResult);
            if (parseResult.CommandResult.Command is not Verb verb) return code;
            var output = parseResult.InvocationConfiguration.Output;
            output.WriteLine(verb._examples.Length == 1 ? "Example:" : "Examples:");
            foreach (var example in verb._examples) output.WriteLine("  falcon " + example);
            return code;
        }
    }
}
