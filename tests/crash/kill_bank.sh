#!/usr/bin/env bash
# kill_bank.sh BANK_CHAOS: 100 kills in flight, verified after each; in doubt at a quarter of them
# or more, at least 20 decided each way by recovery.
set -u
dir=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-kill-XXXXXX")
trap 'rm -rf "$dir"' EXIT
kills=100
"$1" --kills $kills --transfers 4000 --verify-each --min-committed 20 --min-rolledback 20 \
    --min-doubt-percent 25 --keep "$dir"
status=$?
if [ $status -eq 0 ]; then
    echo "rig: $kills kills of the bank, 0 violations"
    echo "$kills passed, 0 failed"
else
    echo "0 passed, 1 failed"
fi
exit $status
