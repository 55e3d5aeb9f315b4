#!/bin/bash
# xa_h.sh CC SOURCE_DIR - compile tests/spec/xa_h.c, and show that it notices every change of xa.h.
#
# For each constant of xa.h, and each member of its structures, a copy of the header is made in
# which that one line is different; with the copy xa_h.c must not compile. So no constant is without
# its assertion.
set -u
cc=$1 source=$2
header=$source/tm/include/xa.h
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

compiles()
{
    "$cc" -std=gnu17 -fsyntax-only -Wall -Wextra -Wpedantic -Werror "-I$1" \
        "$source/tests/spec/xa_h.c" >"$dir/out" 2>&1
}

note() # note OK WHAT: count one result
{
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "xa_h: $2"
    fi
}

changed() # changed LINE SED: the header with that line edited must not compile
{
    sed "$1 $2" "$header" >"$dir/xa.h"
    if cmp -s "$header" "$dir/xa.h"; then
        note 1 "line $1 could not be changed"
    elif compiles "$dir"; then
        note 1 "not noticed: $(sed -n "$1p" "$dir/xa.h")"
    else
        note 0
    fi
}

compiles "$(dirname "$header")"
note $? "xa_h.c does not compile: $(cat "$dir/out")"

# Every value: one more than it is, and of another type. XA_H_VERSION is ours: nobody published it.
while IFS=: read -r line _; do
    for other in '(1 + (\2))' '(1LL * (\2))'; do
        changed "$line" "{s| */\*.*||; s|^\(#define [A-Z_]*\) *\(.*\)|\1 $other|}"
    done
done < <(grep -nE '^#define [A-Z_]+ +[^ ]' "$header" | grep -v XA_H_VERSION)

# Every member: gone; and exchanged with the next one.
while IFS=: read -r line _; do
    changed "$line" 's|^.*$||'
    sed "$line {h;d}; $((line + 1)) G" "$header" >"$dir/xa.h"
    if ! sed -n "$((line + 1))p" "$header" | grep -q '^    .*;'; then
        continue
    elif compiles "$dir"; then
        note 1 "not noticed: lines $line and $((line + 1)) exchanged"
    else
        note 0
    fi
done < <(grep -nE '^    (long|char|int) .*;' "$header")

# The two functions of the transaction manager.
while IFS=: read -r line _; do
    changed "$line" 's|(int, |(long, |'
done < <(grep -n '^extern int ax_' "$header")

echo "xa_h: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 100 ]
