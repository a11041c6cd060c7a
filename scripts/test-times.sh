#!/usr/bin/env bash
# Which tests take the time: scripts/test-times.sh [RESULTS.trx] [COUNT]
# Without a file it runs all tests first. .ci/run leaves the file of its run in artifacts/tests/times.trx.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
results=${1:-} count=${2:-20}
if [[ -z $results ]]; then
    results=artifacts/tests/times.trx
    dotnet test -c Release --results-directory artifacts/tests --report-xunit-trx --report-xunit-trx-filename times.trx || true
fi

# One line a test: seconds, class, name.
tests=$(grep -o '<UnitTestResult testName="[^"]*"[^>]* duration="[^"]*"' "$results" \
    | sed -E 's/.*testName="([^"]*)".* duration="([0-9]+):([0-9]+):([0-9.]+)"/\2 \3 \4 \1/; s/&quot;/"/g; s/&amp;/\&/g' \
    | awk '{ seconds = $1 * 3600 + $2 * 60 + $3; $1 = $2 = $3 = ""; sub(/^ +/, ""); name = $0; class = name
             sub(/\(.*/, "", class); sub(/\.[^.]*$/, "", class); printf "%.1f\t%s\t%s\n", seconds, class, name }')
echo "slowest classes (seconds, tests, name):"
awk -F'\t' '{ time[$2] += $1; tests[$2]++ } END { for (c in time) printf "%8.1f %5d  %s\n", time[c], tests[c], c }' <<< "$tests" \
    | sort -rn | sed -n "1,${count}p"
echo "slowest tests (seconds, name):"
sort -rn <<< "$tests" | awk -F'\t' '{ printf "%8.1f  %s\n", $1, $3 }' | sed -n "1,${count}p"
