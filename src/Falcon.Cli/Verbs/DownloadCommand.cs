using System.CommandLine;
using Falcon.Hub;
using Falcon.Runtime;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon download</c>: fetches a model or a data set from a Hugging Face hub.</summary>
internal static class DownloadCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "download",
            "Fetch a model or a data set from a Hugging Face hub and check its hashes; an interrupted download is resumed. "
                + "Without --out the files go to the cache of the hub's own tools. Prints the folder for --model or --data. "
                + "A token is read from HF_TOKEN or the hub's token file.",
            "download HuggingFaceTB/SmolLM2-135M",
            "download locuslab/TOFU --type dataset --include 'forget10*' --include 'retain*' --out data/tofu",
            "download wmdp --type dataset --out data/wmdp"
        );
        var repository = new Argument<string>("REPO")
        {
            Description = $"organisation/name; with --type dataset also {string.Join(", ", HubRepository.BenchmarkNames)}.",
        };
        var type = new Option<string>("--type")
        {
            Description = "What the repository holds.",
            HelpName = "model|dataset",
            DefaultValueFactory = _ => "model",
        };
        var revision = new Option<string>("--revision")
        {
            Description = "Branch, tag or commit.",
            HelpName = "R",
            DefaultValueFactory = _ => "main",
        };
        var include = new Option<string[]>("--include")
        {
            Description =
                "Only files that match, such as '*.json'; may be repeated. '*' fetches everything, including weights in other formats "
                    + "than safetensors.",
            HelpName = "GLOB",
            Arity = ArgumentArity.OneOrMore,
        };
        var destination = new Option<string?>("--out")
        {
            Description = "Directory for the files instead of the cache; it must not exist yet.",
            HelpName = "DIR",
        };
        var cache = new Option<string?>("--cache")
        {
            Description = "Cache directory; the default is the hub's own (HF_HUB_CACHE, HF_HOME/hub).",
            HelpName = "DIR",
        };
        var endpoint = new Option<string?>("--endpoint")
        {
            Description = $"Address of the hub; the default is HF_ENDPOINT, else {HubSettings.DefaultEndpoint}.",
            HelpName = "URL",
        };
        type.AcceptOneOf("model", "dataset");
        command.Add(repository);
        foreach (var option in new Option[] { type, revision, include, destination, cache, endpoint })
            command.Add(option);
        command.Validators.Add(result =>
        {
            if (result.GetValue(destination) is not null && result.GetValue(cache) is not null)
                result.AddError("--out and --cache exclude each other; give one of them");
        });
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var settings = HubSettings.FromEnvironment();
            settings = settings with
            {
                Endpoint = parsed.GetValue(endpoint) is { } address ? HubSettings.ParseEndpoint(address, "--endpoint") : settings.Endpoint,
                CacheDirectory = parsed.GetValue(cache) ?? settings.CacheDirectory,
            };
            var request = new HubRequest(
                HubRepository.Parse(
                    parsed.GetRequiredValue(repository),
                    parsed.GetValue(type) == "dataset" ? HubRepositoryType.Dataset : HubRepositoryType.Model
                ),
                parsed.GetValue(revision)!,
                parsed.GetValue(include),
                parsed.GetValue(destination)
            );
            return session.Finish(HubDownload.Execute(request, settings, session.Log, session.Cancellation), Show);
        });
        return command;
    }

    private static void Show(IAnsiConsole console, HubDownloadResult result)
    {
        // Bypasses the console's layout: a line break in the path would be copied with it.
        console.Profile.Out.Writer.WriteLine(result.Directory);
        var fetched = result.Fetched < result.Bytes ? $", {PeakMemory.Text(result.Fetched)} of it fetched now" : "";
        console.Profile.Out.Writer.WriteLine(
            $"{result.Repository} at {result.Commit}: {result.Files.Count} files, {PeakMemory.Text(result.Bytes)}{fetched}"
        );
    }
}
