using Falcon.Runtime.Machine;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Runtime;

/// <summary>The device and dtype in which the layers compute, and why they were chosen.</summary>
/// <param name="Device">CPU or CUDA.</param>
/// <param name="DType">Compute dtype of the layers; losses, norms, decompositions and optimiser moments are always float32.</param>
/// <param name="Reason">The reasons, for the log.</param>
public sealed record ComputeOptions(Device Device, ScalarType DType, string Reason)
{
    // Widened weights may take a third of the memory: activations, gradients and the copies of trained weights need the rest.
    private const int MemoryShare = 3;

    /// <summary>Float32 on the CPU: what tests and parity checks use.</summary>
    public static ComputeOptions Exact => new(torch.CPU, float32, "float32 on the CPU");

    /// <summary>Chooses device and dtype from the values of <c>--device</c> and <c>--dtype</c>.</summary>
    /// <param name="device"><c>auto</c>, <c>cpu</c> or <c>cuda</c>.</param>
    /// <param name="dtype"><c>auto</c>, <c>float32</c>, <c>bfloat16</c> or <c>float16</c>.</param>
    /// <param name="stored">The weights of all models that are used together, for the automatic dtype.</param>
    /// <param name="memoryLimit">Bytes that the run may take; null for the memory of the machine or container.</param>
    /// <exception cref="UserInputException">A value is not known, or the device is not available.</exception>
    public static ComputeOptions Choose(string device, string dtype, StoredWeights stored, long? memoryLimit = null)
    {
        var (chosenDevice, deviceReason) = device switch
        {
            "cpu" => (torch.CPU, "the CPU as requested"),
            "cuda" when cuda.is_available() => (torch.CUDA, "CUDA as requested"),
            "cuda" => throw new UserInputException(
                "--device cuda: this build of libtorch finds no CUDA device. "
                    + "Build with -p:TorchBackend=cuda on a machine with an NVIDIA driver, or use --device cpu."
            ),
            "auto" when cuda.is_available() => (torch.CUDA, "CUDA, which is available"),
            "auto" => (torch.CPU, "the CPU, since there is no CUDA device"),
            _ => throw new UserInputException($"--device {device}: not known. Use auto, cpu or cuda."),
        };
        var (chosenDType, dtypeReason) = dtype switch
        {
            "float32" => (float32, "float32 as requested"),
            "bfloat16" => (bfloat16, "bfloat16 as requested"),
            "float16" when chosenDevice.type == DeviceType.CPU => throw new UserInputException(
                "--dtype float16: it is slow and incomplete on the CPU. Use bfloat16 or float32."
            ),
            "float16" => (float16, "float16 as requested"),
            "auto" when chosenDevice.type == DeviceType.CUDA => (bfloat16, "bfloat16, which is fast and safe on CUDA devices"),
            "auto" => OnProcessor(
                stored,
                MatrixTiles.MultiplyBFloat16,
                memoryLimit ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes
            ),
            _ => throw new UserInputException($"--dtype {dtype}: not known. Use auto, float32, bfloat16 or float16."),
        };
        return new ComputeOptions(chosenDevice, chosenDType, $"computing on {deviceReason}, in {dtypeReason}");
    }

    /// <summary>
    /// The automatic dtype on the CPU. It depends on the checkpoint, the processor's features and the memory that there is or that is
    /// allowed, not on what is free now or on any timing: the same command on the same machine gives the same bytes.
    /// </summary>
    /// <param name="stored">The stored weights.</param>
    /// <param name="tiles">Whether the processor multiplies bfloat16 in tiles.</param>
    /// <param name="memory">Bytes that the run may take.</param>
    internal static (ScalarType DType, string Reason) OnProcessor(StoredWeights stored, bool tiles, long memory)
    {
        if (!stored.AreHalf) return (float32, "float32, as the weights are stored");
        if (stored.AreBFloat16 && tiles)
            return (bfloat16, "bfloat16, as the weights are stored: the processor multiplies it in tiles (AMX)");
        var bytes = stored.Count * sizeof(float);
        var fits = bytes <= memory / MemoryShare;
        var size = $"in float32 the weights take {PeakMemory.Text(bytes)} and the memory is {PeakMemory.Text(memory)}";
        return (stored.AreBFloat16, fits) switch
        {
            (true, true) => (float32, $"float32, since the processor has no tiles for the stored bfloat16 (AMX) ({size})"),
            (true, false) => (
                bfloat16,
                $"bfloat16, as the weights are stored, though the processor has no tiles for it (AMX) and is slow: {size}, and they may be "
                    + $"a third of it"
            ),
            (false, true) => (float32, $"float32, which holds every stored 16-bit value ({size})"),
            (false, false) => (
                bfloat16,
                $"bfloat16, which rounds the stored float16 values and is slow without tiles (AMX): {size}, and they may be a third of it"
            ),
        };
    }
}
