#!/usr/bin/env bash
# Writes src/Falcon/PublicAPI.Unshipped.txt anew from the code: the list of public members that the build compares the code with.
# A release moves its lines to PublicAPI.Shipped.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_UI_LANGUAGE=en LC_ALL=C
list=src/Falcon/PublicAPI.Unshipped.txt
log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo '#nullable enable' > "$list"    # every member that is in no list is reported by its line
dotnet build src/Falcon -c Release -p:TreatWarningsAsErrors=false -nologo -clp:NoSummary > "$log" || { grep ': error' "$log"; exit 1; }
sed -n "s/.*RS0016: Symbol '\(.*\)' is not part of the declared public API.*/\1/p" "$log" | sort -u >> "$list"
echo "$list: $(($(wc -l < "$list") - 1)) members"
