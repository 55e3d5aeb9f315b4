#!/usr/bin/env bash
# bank_input.sh BANK: a broken line of a list of transfers is named by file and number, exit
# status 2, and nothing is run.
set -u
bank=$1
dir=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-bank-XXXXXX")
trap 'rm -rf "$dir"' EXIT
cases=0
failed=0

expect() { # LINE CSV: the number that has to be named, and the list
    local out status
    cases=$((cases + 1))
    printf '%b' "$2" >"$dir/list.csv"
    out=$("$bank" --csv "$dir/list.csv" "$dir/run" 2>&1)
    status=$?
    if [ "$status" -ne 2 ] || ! grep -qF "list.csv:$1:" <<<"$out" || [ -e "$dir/run/node" ]; then
        failed=$((failed + 1))
        printf 'case %d: wanted exit 2, line %s, nothing run; got %d: %s\n' "$cases" "$1" \
            "$status" "$out"
    fi
}

head='id,from,to,amount\n'
expect 1 'id;from;to;amount\n'
expect 2 "${head}t1,a,b\n"
expect 2 "${head}t1,a,b,0\n"
expect 2 "${head}t1,a,b,-5\n"
expect 3 "${head}t1,a,b,5\nt2,a,b,ten\n"
expect 3 "${head}t1,a,b,5\nt2,a b,c,5\n"
expect 3 "${head}t1,a,b,5\nt1,a,b,5\n"
expect 2 "${head}t1,a,b,99999999999999999999\n"
expect 2 "${head}t1,a,b,5,6\n"
expect 2 "${head},a,b,5\n"
printf '%d passed, %d failed\n' $((cases - failed)) "$failed"
[ "$failed" -eq 0 ]
