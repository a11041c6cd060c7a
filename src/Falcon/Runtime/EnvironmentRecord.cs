using System.Reflection;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Falcon.Runtime;

/// <summary>The program, machine and settings of a run, written as <c>environment.json</c> before it starts.</summary>
/// <param name="Falcon">Version of Falcon, with the commit it was built from if known.</param>
/// <param name="DotNet">Version of the .NET runtime.</param>
/// <param name="TorchSharp">Version of TorchSharp.</param>
/// <param name="LibTorch">Version of libtorch that this TorchSharp binds to.</param>
/// <param name="OperatingSystem">Name and version of the operating system.</param>
/// <param name="Architecture">Processor architecture, such as <c>X64</c>.</param>
/// <param name="Cores">Processor cores that the process may use.</param>
/// <param name="Threads">Threads of one tensor operation; null for the default of libtorch.</param>
/// <param name="MemoryBytes">Memory that the process may use, in bytes.</param>
/// <param name="Device">Where the run computes, such as <c>cpu</c> or <c>cuda:0</c>.</param>
/// <param name="DType">Number type of the weights in memory.</param>
/// <param name="Seed">Seed of every random choice.</param>
/// <param name="Started">When the run began, in UTC.</param>
public sealed record EnvironmentRecord(
    string Falcon,
    string DotNet,
    string TorchSharp,
    string LibTorch,
    string OperatingSystem,
    string Architecture,
    int Cores,
    int? Threads,
    long MemoryBytes,
    string Device,
    string DType,
    long Seed,
    DateTimeOffset Started)
{
    /// <summary>Why this device and number type, in a line; null in records of earlier versions.</summary>
    public string? ComputeReason { get; init; }

    /// <summary>Records this process and machine for a computation.</summary>
    /// <param name="compute">Device and dtype, with the reason.</param>
    /// <param name="seed">Seed of every random choice.</param>
    /// <param name="clock">Source of the start time.</param>
    /// <param name="threads">Threads of one tensor operation; null for the default of libtorch.</param>
    public static EnvironmentRecord Capture(ComputeOptions compute, long seed, TimeProvider clock, int? threads = null) =>
        Capture(compute.Device.ToString(), compute.DType.ToString(), seed, clock, threads) with { ComputeReason = compute.Reason };

    /// <summary>Records this process and machine, without loading a native library.</summary>
    /// <param name="device">Where the run computes.</param>
    /// <param name="dtype">Number type of the weights in memory.</param>
    /// <param name="seed">Seed of every random choice.</param>
    /// <param name="clock">Source of the start time.</param>
    /// <param name="threads">Threads of one tensor operation; null for the default of libtorch.</param>
    public static EnvironmentRecord Capture(string device, string dtype, long seed, TimeProvider clock, int? threads = null) => new(
        VersionOf(typeof(EnvironmentRecord).Assembly),
        Environment.Version.ToString(),
        VersionOf(typeof(torch).Assembly),
        torch.__version__,
        RuntimeInformation.OSDescription,
        RuntimeInformation.ProcessArchitecture.ToString(),
        Environment.ProcessorCount,
        threads,
        GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
        device,
        dtype,
        seed,
        clock.GetUtcNow());

    private static string VersionOf(Assembly assembly) =>
        assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion
        ?? assembly.GetName().Version!.ToString();
}
