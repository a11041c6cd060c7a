using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Falcon.Runtime.Machine;

/// <summary>
/// Whether the processor multiplies bfloat16 matrices in tiles (Intel AMX). Read from its features, never from a timing, so one machine
/// always gives one answer. Other bfloat16 instructions (AVX-512 BF16, Arm's BFMMLA) are no such tiles: products of bfloat16 are not
/// reliably faster than those of float32 with them.
/// </summary>
public static partial class MatrixTiles
{
    // CPUID leaf 7, sub-leaf 0, register EDX.
    private const int BFloat16Bit = 22;
    private const int TileBit = 24;

    // The tile data's place in the processor state that the operating system saves for a thread.
    private const int TileState = 18;

    // Linux on x86-64 gives the tiles to a process that asks; libtorch asks in the same way. Asking twice is harmless.
    private const nint ArchPrctl = 158;
    private const nint RequestPermission = 0x1023;

    /// <summary>Whether processor and operating system offer AMX with bfloat16 to this process.</summary>
    public static bool MultiplyBFloat16 { get; } = HasFeatures() && IsPermitted();

    private static bool HasFeatures()
    {
        const int Features = 7;
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64 || !X86Base.IsSupported) return false;
        if (X86Base.CpuId(0, 0).Eax < Features) return false;
        var features = X86Base.CpuId(Features, 0).Edx;
        return (features >> BFloat16Bit & 1) == 1 && (features >> TileBit & 1) == 1;
    }

    private static bool IsPermitted()
    {
        try
        {
            if (OperatingSystem.IsLinux()) return SystemCall(ArchPrctl, RequestPermission, TileState) == 0;
            return OperatingSystem.IsWindows() && (EnabledStates() >> TileState & 1) == 1;
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            return false; // an operating system from before the tiles
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint SystemCall(nint number, nint code, nint argument);

    [LibraryImport("kernel32", EntryPoint = "GetEnabledXStateFeatures")]
    private static partial ulong EnabledStates();
}
