using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Runtime;

/// <summary>The device and dtype in which the layers compute, and why they were chosen.</summary>
/// <param name="Device">CPU or CUDA.</param>
/// <param name="DType">Compute dtype of the layers; losses, norms, decompositions and optimiser moments are always float32.</param>
/// <param name="Reason">The reasons, for the log.</param>
public sealed record ComputeOptions(Device Device, ScalarType DType, string Reason)
{
    /// <summary>Float32 on the CPU: what tests and parity checks use.</summary>
    public static ComputeOptions Exact => new(torch.CPU, float32, "float32 on the CPU");

    /// <summary>Chooses device and dtype from the values of <c>--device</c> and <c>--dtype</c>.</summary>
    /// <param name="device"><c>auto</c>, <c>cpu</c> or <c>cuda</c>.</param>
    /// <param name="dtype"><c>auto</c>, <c>float32</c>, <c>bfloat16</c> or <c>float16</c>.</param>
    /// <param name="parameterCount">Number of weights, for the automatic dtype.</param>
    /// <exception cref="UserInputException">A value is not known, or the device is not available.</exception>
    public static ComputeOptions Choose(string device, string dtype, long parameterCount)
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
            "auto" when parameterCount * sizeof(float) <= GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 3 => (
                float32,
                "float32, since the weights fit comfortably into memory"
            ),
            "auto" => (bfloat16, "bfloat16, since float32 weights would take more than a third of the memory"),
            _ => throw new UserInputException($"--dtype {dtype}: not known. Use auto, float32, bfloat16 or float16."),
        };
        return new ComputeOptions(chosenDevice, chosenDType, $"computing on {deviceReason}, in {dtypeReason}");
    }
}
