#!/usr/bin/env bash
# plant_bank.sh BUG BIN: the kill test has to fail for a bank with a planted bug, because of what
# the verifier or the supervisor saw, not because something could not be started.
set -u
bug=$1 bin=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-plant-XXXXXX")
trap 'rm -rf "$dir"' EXIT
out=$("$bin/bank_chaos" --bank "$bin/bank_faulty" --kills 60 --transfers 2000 --verify-each \
    --plant "$bug" --keep "$dir" 2>&1)
status=$?
printf '%s\n' "$out" | tail -n 12
if [ "$status" -ne 1 ]; then
    echo "plant_bank: exit status $status, not 1: $bug was not caught"
    exit 1
fi
if ! grep -qE 'verify: |broken invariant|signal 6' <<<"$out"; then
    echo "plant_bank: it failed, but neither the verifier nor an invariant of the library noticed"
    exit 1
fi
