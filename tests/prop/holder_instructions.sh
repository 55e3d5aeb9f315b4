#!/bin/bash
# holder_instructions.sh PROGRAM BAR XA_BAR - an allocation and a free of what is enlisted already
# take fewer than BAR instructions, by callgrind, which counts in measured_pairs() alone; XA_BAR is
# for instances, whose delisting and enlisting are in it.
set -u
program=$1
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
    extra=() bar=$2
    [ $kind = instances ] && extra=(xa) bar=$3
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
