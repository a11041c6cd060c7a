#!/usr/bin/env bash
# falcon bench engine on a machine with an NVIDIA GPU. NOT TESTED YET ON A GPU: no such machine was at hand; each step checks what it needs and says what is missing.
#   scripts/gpu-bench.sh [RESULT_FOLDER]
# Way 1, a machine with the .NET SDK and a package registry: builds against the CUDA packages of TorchSharp (libtorch 2.10, CUDA 12.8) and runs.
# Way 2, a machine with PyTorch but without .NET: give FALCON=/path/to/a/self-contained/publish (made elsewhere with
#   dotnet publish src/Falcon.Cli -c Release -r linux-x64 --self-contained), whose folder holds libLibTorchSharp.so; the libtorch of PyTorch is used.
set -euo pipefail
results=$(realpath -m "${1:-bench/results}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-10000}

command -v nvidia-smi >/dev/null || { echo "gpu-bench: nvidia-smi was not found; this needs an NVIDIA driver" >&2; exit 2; }
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader

if [[ -n ${FALCON:-} ]]; then
    TORCH_LIB=$(python3 -c "import torch, os; print(os.path.join(os.path.dirname(torch.__file__), 'lib'))")
    shim=$(find "$(dirname "$FALCON")" -name libLibTorchSharp.so -print -quit)
    [[ -n $shim ]] || { echo "gpu-bench: libLibTorchSharp.so is not beside $FALCON" >&2; exit 2; }
    export LD_LIBRARY_PATH=$TORCH_LIB${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    # The shim is built against libtorch 2.10; a few symbols that are never called do no harm, as they bind lazily.
    missing=$(ldd -r "$shim" 2>&1 | grep -c 'undefined symbol' || true)
    echo "gpu-bench: $missing undefined symbols between the shim and $TORCH_LIB"
    # Loading by full path in this order, so that the plain load later finds the same libraries.
    export LD_PRELOAD="$TORCH_LIB/libc10.so:$TORCH_LIB/libtorch_cpu.so:$TORCH_LIB/libc10_cuda.so:$TORCH_LIB/libtorch_cuda.so:$TORCH_LIB/libtorch.so:$shim"
    falcon=("$FALCON")
else
    export TorchBackend=cuda
    falcon=(./falcon)
fi

"${falcon[@]}" bench engine --shape llama-1b --layer 7 --steps 10 --rounds 3 --device cuda --dtype bfloat16 --out "$results"
"${falcon[@]}" bench engine --shape mistral-7b --layer 7 --steps 10 --rounds 3 --device cuda --dtype bfloat16 --out "$results"
