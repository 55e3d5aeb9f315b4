#!/bin/bash
# release_is_clean.sh [--expect-dirty] SOURCE_DIR SHARED_LIBRARY STATIC_LIBRARY [PROGRAM...]
#
# A release has neither failpoints nor planted bugs, and its library shows only its interface:
#   - no symbol with hf__fault or hf__bug, in any of the files;
#   - no text of a failpoint or planted bug that the sources name, in any of the files;
#   - the shared library defines exactly what the public headers declare, ax_reg and ax_unreg;
#   - the static library's global symbols are hf_..., ax_reg and ax_unreg.
#
# With --expect-dirty it is given a fault build and must find faults in each library: a look that
# finds nothing anywhere proves nothing.
set -u
export LC_ALL=C
dirty=0
if [ "$1" = --expect-dirty ]; then
    dirty=1
    shift
fi
source=$1 shared=$2 static=$3
shift
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad()
{
    failed=$((failed + 1))
    echo "release_is_clean: $1"
}

# Each string that HF_FAULT("..."), HF_FAULT_FAILS("..."), HF_BUG("...") and the rooms' own forms of
# them have.
grep -rhoE --include='*.c' '(HF_(FAULT|FAULT_FAILS|BUG)|[A-Z]+_CUT)\("[^"]+"[,)]' \
    "$source/tm" "$source/rm" "$source/holder" 2>/dev/null |
    sed 's/^[^"]*"\(.*\)".*$/\1/' | sort -u >"$dir/names"
if [ "$(wc -l <"$dir/names")" -ge 10 ]; then
    ok
else
    bad "the sources name only $(wc -l <"$dir/names") failpoints and planted bugs: wrong directory?"
fi

faults_in() # print what of a fault build is in a file; 2 if it could not be read
{
    nm -a "$1" >"$dir/nm" 2>/dev/null || return 2
    strings -a -n 3 "$1" >"$dir/strings" || return 2
    [ -s "$dir/strings" ] || return 2
    grep -E 'hf__(fault|bug)_' "$dir/nm"
    grep -F -f "$dir/names" "$dir/strings"
    return 0
}

for file in "$@"; do
    found=$(faults_in "$file")
    case $?:$dirty:${found:+found} in
    0:0: | 0:1:found) ok ;;
    0:0:found) bad "$file has in it: $(head -5 <<<"$found" | tr '\n' ';')" ;;
    0:1:) bad "$file is of a fault build, and no fault was found in it" ;;
    *) bad "$file cannot be read" ;;
    esac
done

# What the public headers declare: each function or object that HF_API marks, and X/Open's two.
cat "$source"/tm/include/holdfast/*.h "$source"/holder/include/holdfast/*.h \
    "$source"/rm/kv/include/holdfast/*.h |
    sed 's|/\*.*\*/||' | tr '\n' ' ' | grep -oE 'HF_API [^;(]*[(;]' |
    grep -oE 'hf_[a-z_0-9]+ ?[(;]$' | tr -d ' (;' >"$dir/declared"
printf 'ax_reg\nax_unreg\n' >>"$dir/declared"
sort -u "$dir/declared" -o "$dir/declared"
nm -D --defined-only "$shared" | awk '$2 != "A" { sub("@.*", "", $3); print $3 }' |
    sort -u >"$dir/exported"
if [ -s "$dir/exported" ] && cmp -s "$dir/declared" "$dir/exported"; then
    ok
else
    bad "$shared: exported and not declared: $(comm -13 "$dir/declared" "$dir/exported" | xargs)"
    bad "$shared: declared and not exported: $(comm -23 "$dir/declared" "$dir/exported" | xargs)"
fi

nm -g --defined-only "$static" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >"$dir/global"
stray=$(grep -vE '^(hf_|ax_reg$|ax_unreg$|__(asan|odr_asan)|_?_?ubsan)' "$dir/global" | xargs)
if [ -s "$dir/global" ] && [ -z "$stray" ]; then
    ok
else
    bad "$static: global symbols that are not ours to name: $stray"
fi

echo "release_is_clean: $passed passed, $failed failed"
[ "$failed" = 0 ]
