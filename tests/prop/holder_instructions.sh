#!/bin/bash
# holder_instructions.sh PROGRAM BAR - an allocation and a free of what is enlisted already take
# fewer than BAR instructions, by callgrind, which counts in measured_pairs() alone.
set -u
program=$1 bar=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

instructions() # instructions ARGUMENT...: in measured_pairs()
{
    valgrind --tool=callgrind --toggle-collect=measured_pairs --callgrind-out-file="$dir/out" \
        "$program" --pairs "$@" >"$dir/log" 2>&1 || return 1
    sed -n 's/^summary: \([0-9]*\).*/\1/p; s/^totals: \([0-9]*\).*/\1/p' "$dir/out" | tail -1
}

for kind in toys instances; do
    extra=()
    [ $kind = instances ] && extra=(xa)
    total=$(instructions 10000 "${extra[@]}")
    if [ -z "$total" ] || [ "$total" -lt 10000 ]; then
        cat "$dir/log"
        echo "holder_instructions: $kind: nothing was counted"
        failed=1
        continue
    fi
    each=$((total / 10000))
    echo "holder_instructions: $kind: $each instructions for an allocation and a free"
    [ "$each" -lt "$bar" ] || failed=1
done
exit $failed
