#!/usr/bin/env bash
# Packs the library and the tool into a folder: scripts/pack.sh [FOLDER]
# The library leaves the choice of libtorch to the project that uses it; the tool brings the one of this operating system (or of TorchBackend).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-artifacts/packages}
dotnet pack src/Falcon/Falcon.csproj -c Release -p:TorchBackend=external --artifacts-path artifacts/pack-library -o "$folder"
dotnet pack src/Falcon.Cli/Falcon.Cli.csproj -c Release -p:TorchBackend="${TorchBackend:-cpu}" --artifacts-path artifacts/pack-tool -o "$folder"
