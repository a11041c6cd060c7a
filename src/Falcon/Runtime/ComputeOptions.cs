using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Runtime;

/// <summary>Where and in which dtype the layers compute, each with the reason for the choice.</summary>
/// <param name="Device">CPU or CUDA.</param>
/// <param name="DType">Compute dtype of the layers; losses, norms, decompositions and optimiser moments are float32 whatever it is.</param>
/// <param name="Reason">Why, in words for the log.</param>
public sealed record ComputeOptions(Device Device, ScalarType DType, string Reason)
{
    /// <summary>Float32 on the CPU: what tests and parity checks use.</summary>
    public static ComputeOptions Exact => new(torch.CPU, float32, "float32 on the CPU");

    /// <summary>Chooses from the command line's words.</summary>
    /// <param name="device"><c>auto</c>, <c>cpu</c> or <c>cuda</c>.</param>
    /// <param name="dtype"><c>auto</c>, <c>float32</c>, <c>bfloat16</c> or <c>float16</c>.</param>
    /// <param name="parameterCount">Number of weights, for the automatic dtype.</param>
    /// <exception cref="UserInputException">A word is not known, or the device is not there.</exception>
    public static ComputeOptions Choose(string device, string dtype, long parameterCount)
    {
        var (chosenDevice, deviceReason) = device switch
        {
            "cpu" => (torch.CPU, "the CPU as asked"),
            "cuda" when cuda.is_available() => (torch.CUDA, "CUDA as asked"),
            "cuda" => throw new UserInputException(
                "--device cuda: this build of libtorch sees no CUDA device. Build with -p:TorchBackend=cuda on a machine with an NVIDIA "
                    + "driver, or use --device cpu."
            ),
            "auto" when cuda.is_available() => (torch.CUDA, "CUDA, which is there"),
            "auto" => (torch.CPU, "the CPU, as no CUDA device is there"),
            _ => throw new UserInputException($"--device {device}: not known. Use auto, cpu or cuda."),
        };
        var (chosenDType, dtypeReason) = dtype switch
        {
            "float32" => (float32, "float32 as asked"),
            "bfloat16" => (bfloat16, "bfloat16 as asked"),
            "float16" when chosenDevice.type == DeviceType.CPU => throw new UserInputException(
                "--dtype float16: slow and incomplete on the CPU. Use bfloat16 or float32 there."
            ),
            "float16" => (float16, "float16 as asked"),
            "auto" when chosenDevice.type == DeviceType.CUDA => (bfloat16, "bfloat16, the fast and safe dtype of CUDA devices"),
            "auto" when parameterCount * sizeof(float) <= GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 3 => (
                float32,
                "float32, because the weights fit comfortably in memory"
            ),
            "auto" => (bfloat16, "bfloat16, because float32 weights would take more than a third of the memory"),
            _ => throw new UserInputException($"--dtype {dtype}: not known. Use auto, float32, bfloat16 or float16."),
        };
        return new ComputeOptions(chosenDevice, chosenDType, $"computing on {deviceReason}, in {dtypeReason}");
    }
}
