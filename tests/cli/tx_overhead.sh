#!/bin/bash
# tx_overhead.sh PROGRAM - what the TX interface costs over the native one: under 800 instructions a
# transaction, counted by callgrind. Skipped where there is no valgrind.
set -u
program=$1
command -v valgrind >/dev/null || {
    echo 'tx_overhead: skipped: no valgrind'
    exit 77
}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

count() # count tx|native: instructions of 1,100 transactions
{
    rm -rf "$dir/node"
    printf '[holdfast]\nnode = %s\nbackground = no\nhistory = none\n' "$dir/node" >"$dir/tx.ini"
    printf '[rm a]\nsymbol = read_only\n[rm b]\nsymbol = read_only\n' >>"$dir/tx.ini"
    HOLDFAST_CONFIG=$dir/tx.ini valgrind --tool=callgrind --toggle-collect="$1_loop" \
        --callgrind-out-file="$dir/out" "$program" "$1" 2>"$dir/$1.log"
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$dir/$1.log"
}

tx=$(count tx) native=$(count native)
if [ -z "$tx" ] || [ -z "$native" ] || [ "$native" -lt 100000 ]; then
    cat "$dir"/*.log
    echo 'tx_overhead: 0 passed, 1 failed'
    exit 1
fi
over=$(((tx - native) / 1100))
echo "tx_overhead: $((tx / 1100)) instructions by tx.h, $((native / 1100)) native: $over more"
[ "$over" -lt 800 ] && [ "$over" -gt 0 ] || {
    echo 'tx_overhead: 0 passed, 1 failed'
    exit 1
}
echo 'tx_overhead: 1 passed, 0 failed'
