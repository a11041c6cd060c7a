using System.Security.Cryptography;
using System.Text;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Models;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Research.League;

/// <summary>The two halves of a suite's questions.</summary>
internal enum LeagueSplit
{
    /// <summary>Chooses settings.</summary>
    Dev,

    /// <summary>
    /// The same half with every question and wrong answer, for the few settings between which <see cref="Dev"/> leaves it open.
    /// </summary>
    DevWhole,

    /// <summary>Scores what was chosen.</summary>
    Test,
}

/// <summary>A benchmark of the league: what is unlearned, and how a model scores on a split of the questions.</summary>
internal abstract class LeagueSuite
{
    /// <summary>An entrant's preset with the model, data and evaluation of the suite.</summary>
    /// <param name="entrant">A method with a preset.</param>
    public abstract UnlearnConfig Configure(LeagueEntrant entrant);

    /// <summary>What the scores are made of, in words.</summary>
    public abstract string Measures { get; }

    /// <summary>
    /// Forgetting from which on settings meet in a runoff on <see cref="LeagueSplit.DevWhole"/>, as the sample of
    /// <see cref="LeagueSplit.Dev"/> cannot tell them apart; null where that split is the whole half already.
    /// </summary>
    public virtual double? RunoffFrom => null;

    /// <summary>Scores a model. With a floor, forgetting is measured only where the utility reaches it.</summary>
    public abstract LeagueScore Score(CausalLM model, HfTokenizer tokenizer, LeagueSplit split, double? floor, RunContext context);

    /// <summary>Scores a model directory.</summary>
    public LeagueScore Score(string directory, LeagueSplit split, RunContext context)
    {
        using var checkpoint = Checkpoint.Open(directory);
        var compute = ComputeOptions.Choose(context.Device, context.DType, checkpoint.Stored);
        using var weights = checkpoint.LoadWeights(compute.DType, compute.Device);
        return Score(new CausalLM(checkpoint.Config, weights), HfTokenizer.Load(directory), split, null, context);
    }

    /// <summary>The suite's texts and batch size with what the preset decides of the rest.</summary>
    /// <param name="suite">Files, form and batch size.</param>
    /// <param name="preset">Counted tokens, padding, retain batches and generated texts.</param>
    protected static DataSettings TextsOf(DataSettings suite, DataSettings preset) =>
        preset with
        {
            Forget = suite.Forget,
            Retain = suite.Retain,
            Fields = suite.Fields,
            PromptForm = suite.PromptForm,
            MaxLength = suite.MaxLength,
            BatchSize = suite.BatchSize,
        };

    /// <summary>
    /// Whether a question belongs to the development split: the lowest bit of the hash of its text, so that it depends on nothing else.
    /// </summary>
    public static bool IsDev(string question) => (SHA256.HashData(Encoding.UTF8.GetBytes(question))[0] & 1) == 0;

    /// <summary>The folder of a split's files; <see cref="LeagueSplit.DevWhole"/> has those of <see cref="LeagueSplit.Dev"/>.</summary>
    protected static string FolderOf(LeagueSplit split) => split == LeagueSplit.Test ? "test" : "dev";

    /// <summary>
    /// Writes the lines of a .jsonl file whose question is of the split to <paramref name="destination"/>, where it is not there yet; of
    /// more than <paramref name="most"/> lines evenly spaced ones.
    /// </summary>
    /// <exception cref="UserInputException">The file is of another form, holds plain texts, or a half is empty.</exception>
    protected static void WriteSplit(string source, LeagueSplit split, string destination, int most = int.MaxValue)
    {
        if (File.Exists(destination)) return;
        if (Path.GetExtension(source) != ".jsonl") throw new UserInputException($"{source}: the league splits .jsonl files; convert it.");
        var lines = File.ReadAllLines(source);
        List<string> chosen = [];
        foreach (var record in Corpus.Read(source))
        {
            var question = record.Question
                ?? throw new UserInputException($"{source}, line {record.Line}: a plain text cannot be split by its question.");
            if (IsDev(question) == (split != LeagueSplit.Test))
                chosen.Add(lines[record.Line - 1]);
        }

        if (chosen.Count == 0) throw new UserInputException($"{source}: no question falls into the split {split}; give more questions.");
        var kept = Math.Min(most, chosen.Count);
        OutputFile.Write(
            destination,
            string.Join('\n', Enumerable.Range(0, kept).Select(i => chosen[(int)((long)i * chosen.Count / kept)])) + "\n"
        );
    }
}
