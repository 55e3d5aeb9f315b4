#!/bin/bash
# instructions.sh PROGRAM MAX - count, by callgrind, what a transaction costs.
#
# Runs PROGRAM with two numbers of transactions under valgrind; the difference of the instructions
# executed, by transaction, must be at most MAX, and more than 500: less means that nothing was
# measured. Without valgrind the test is skipped (77), and says so.
set -u
export LC_ALL=C
program=$1 max=$2
few=500 many=2500

command -v valgrind >/dev/null || {
    echo "instructions: SKIPPED: there is no valgrind; apt-get install valgrind"
    exit 77
}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

count() # instructions of the whole program with so many transactions
{
    valgrind --tool=callgrind --callgrind-out-file="$dir/$1.out" "$program" "$1" \
        >"$dir/$1.log" 2>&1 || {
        cat "$dir/$1.log" >&2
        return 1
    }
    sed -n 's/^\(summary\|totals\): //p' "$dir/$1.out" | tail -1
}

low=$(count $few) && high=$(count $many) || exit 1
each=$(((high - low) / (many - few)))
echo "instructions: $each a transaction (begin, enlist two, commit; log in memory), at most $max"
if [ "$each" -gt "$max" ] || [ "$each" -lt 500 ]; then
    callgrind_annotate "$dir/$many.out" 2>/dev/null | sed -n '1,45p'
    echo "0 passed, 1 failed"
    exit 1
fi
echo "1 passed, 0 failed"
