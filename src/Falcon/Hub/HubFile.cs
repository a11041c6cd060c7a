using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Hub;

/// <summary>A file of a repository as the hub lists it.</summary>
/// <param name="Path">Path in the repository, with slashes.</param>
/// <param name="Size">Its length in bytes.</param>
/// <param name="Hash">
/// SHA-256 of a large file (64 hexadecimal digits) or git's SHA-1 of a small one (40); also the name of its content in the cache.
/// </param>
public sealed partial record HubFile(string Path, long Size, string Hash)
{
    /// <summary>Refuses a path or hash by which a hostile or broken server could write outside the target directory.</summary>
    /// <exception cref="UserInputException">The path leaves the repository, or the hash or length is invalid.</exception>
    internal HubFile Checked(Uri endpoint)
    {
        var parts = Path.Split('/');
        if (parts.Any(part => part is "" or "." or "..") || Path.AsSpan().ContainsAny('\\', ':', '\0'))
            throw new UserInputException(
                $"{endpoint}: the hub lists a file \"{Path}\", which is no path inside a repository. It was not written; check the address."
            );
        if (!HashForm().IsMatch(Hash))
            throw new UserInputException(
                $"{endpoint}: the hub gives \"{Hash}\" as the hash of {Path}, which is neither SHA-256 nor git's SHA-1, "
                    + "so the file cannot be checked. Check the address."
            );
        return Size >= 0
            ? this
            : throw new UserInputException($"{endpoint}: the hub gives {Path} a negative length. Check the address.");
    }

    [GeneratedRegex("^([0-9a-f]{64}|[0-9a-f]{40})$")]
    private static partial Regex HashForm();
}

/// <summary>The files of a repository at one commit.</summary>
/// <param name="Commit">The commit that the revision stands for.</param>
/// <param name="Files">Its files.</param>
public sealed record HubListing(string Commit, IReadOnlyList<HubFile> Files);
