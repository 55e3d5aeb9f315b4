#!/bin/bash
# tx_exports.sh SOURCE_DIR SHARED_LIBRARY - libholdfast-tx shows what its headers declare, and no
# other name; nothing of a fault build is in it; ax_reg and ax_unreg come from libholdfast alone.
set -u
export LC_ALL=C
source=$1 shared=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

check() # check TEXT COMMAND...
{
    local text=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "tx_exports: $text"
    fi
}

sed 's|/\*.*\*/||' "$source/tm/tx/include/holdfast/config.h" | tr '\n' ' ' |
    grep -oE 'HF_API [^;(]*[(;]' | grep -oE 'hf_[a-z_0-9]+ ?[(;]$' | tr -d ' (;' >"$dir/declared"
grep -oE '^extern TX_API_ int tx_[a-z_]+' "$source/tm/tx/include/tx.h" | awk '{ print $4 }' \
    >>"$dir/declared"
sort -u "$dir/declared" -o "$dir/declared"
nm -D --defined-only "$shared" | awk '$2 != "A" { sub("@.*", "", $3); print $3 }' |
    sort -u >"$dir/exported"
check "exported: $(comm -13 "$dir/declared" "$dir/exported" | xargs);
    declared only: $(comm -23 "$dir/declared" "$dir/exported" | xargs)" \
    cmp -s "$dir/declared" "$dir/exported"
check 'nine calls of TX' [ "$(grep -c '^tx_' "$dir/exported")" = 9 ]
check 'failpoints' [ -z "$(strings -a "$shared" | grep -E 'hf__(fault|bug)_')" ]
check 'what it needs' [ -n "$(readelf -d "$shared" | grep 'NEEDED.*libholdfast\.so')" ]

echo "tx_exports: $passed passed, $failed failed"
[ "$failed" = 0 ]
