#!/usr/bin/env bash
# Writes docs/api anew from the doc comments of the library.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
FALCON_WRITE_API=1 dotnet run --project tests/Falcon.Tests -c Release -- --filter-class Falcon.Tests.Documentation.ApiReferenceTests
