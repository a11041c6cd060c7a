using System.Security.Cryptography;
using System.Text;
using Falcon.Configuration;
using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Benchmarks;

/// <summary>The two halves of a suite's questions.</summary>
internal enum LeagueSplit
{
    /// <summary>Chooses settings.</summary>
    Dev,

    /// <summary>Scores what was chosen.</summary>
    Test,
}

/// <summary>A benchmark of the league: what is unlearned, and how a model scores on a split of the questions.</summary>
internal abstract class LeagueSuite
{
    /// <summary>A method's preset with the model, data and evaluation of the suite.</summary>
    public abstract UnlearnConfig Configure(string method);

    /// <summary>Scores a model directory; files that can be looked at later go to <paramref name="cell"/>.</summary>
    public abstract LeagueScore Score(string model, LeagueSplit split, string cell, RunContext context);

    /// <summary>Whether a question belongs to the development split: the lowest bit of the hash of its text, so that it depends on nothing else.</summary>
    public static bool IsDev(string question) => (SHA256.HashData(Encoding.UTF8.GetBytes(question))[0] & 1) == 0;

    /// <summary>Writes the lines of a .jsonl file whose question is of the split to <paramref name="destination"/>.</summary>
    /// <exception cref="UserInputException">The file is of another form, holds plain texts, or a half is empty.</exception>
    protected static void WriteSplit(string source, LeagueSplit split, string destination)
    {
        if (Path.GetExtension(source) != ".jsonl") throw new UserInputException($"{source}: the league splits .jsonl files; convert it.");
        var lines = File.ReadAllLines(source);
        List<string> chosen = [];
        foreach (var record in Corpus.Read(source))
        {
            var question = record.Question ?? throw new UserInputException($"{source}, line {record.Line}: a plain text cannot be split by its question.");
            if (IsDev(question) == (split == LeagueSplit.Dev)) chosen.Add(lines[record.Line - 1]);
        }

        if (chosen.Count == 0) throw new UserInputException($"{source}: no question falls into the split {split}; give more questions.");
        OutputFile.Write(destination, string.Join('\n', chosen) + "\n");
    }
}
