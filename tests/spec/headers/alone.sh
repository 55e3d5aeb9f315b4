#!/bin/bash
# alone.sh CC CXX INCLUDE_DIR... - each public header compiles by itself, as C99 and as C++17.
#
# Twice in a row, too: the guard works. Ends with a header that must not pass, so that a compiler
# which takes everything is noticed.
set -u
cc=$1 cxx=$2
shift 2
includes=("${@/#/-I}")
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
warnings=(-Wall -Wextra -Wpedantic -pedantic-errors -Wshadow -Wundef -Werror)
passed=0 failed=0

compiles() # compiles LANGUAGE HEADER
{
    printf '#include "%s"\n#include "%s"\nint hf_alone;\n' "$2" "$2" >"$dir/alone.$1"
    case $1 in
    c) "$cc" -std=c99 -Wstrict-prototypes "${warnings[@]}" "${includes[@]}" "-I$dir" \
        -fsyntax-only "$dir/alone.c" ;;
    cc) "$cxx" -std=c++17 -Wold-style-cast "${warnings[@]}" "${includes[@]}" "-I$dir" \
        -fsyntax-only "$dir/alone.cc" ;;
    esac
}

check() # check WANTED LANGUAGE HEADER; WANTED is 0 or 1
{
    compiles "$2" "$3" >"$dir/out" 2>&1
    if [ $(($? != 0)) = "$1" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "headers: $3 as $2: $(cat "$dir/out")"
    fi
}

for include in "$@"; do
    while read -r header; do
        check 0 c "$header"
        check 0 cc "$header"
    done < <(cd "$include" && find . -name '*.h' ! -path '*/internal/*' -printf '%P\n' | sort)
done
[ "$passed" -ge 12 ] || { echo "headers: too few were found"; failed=$((failed + 1)); }

echo 'int hf_bad(a) int a; { return a + class; }' >"$dir/bad.h"
check 1 c bad.h
echo 'static inline int hf_bad(void) { int class = 1; return class; }' >"$dir/bad.h"
check 1 cc bad.h

echo "headers: $passed passed, $failed failed"
[ "$failed" = 0 ]
