#!/bin/bash
# postgres_library.sh SOURCE_DIR LIBHOLDFAST LIBHOLDFAST_POSTGRES - what the second library is.
#
#   - it defines exactly what holdfast/postgres.h declares
#   - it needs libpq, and neither LMDB nor the first library; the first does not need libpq
set -u
export LC_ALL=C
source=$1 first=$2 second=$3
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

check() # check TEXT COMMAND...: the command has to succeed
{
    local text=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "postgres_library: $text"
    fi
}

needs() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -q "^$2\."; }
needs_not() { ! needs "$1" "$2"; }

sed 's|/\*.*\*/||' "$source/rm/postgres/include/holdfast/postgres.h" | tr '\n' ' ' |
    grep -oE 'HF_API [^;(]*[(;]' | grep -oE 'hf_[a-z_0-9]+ ?[(;]$' | tr -d ' (;' |
    sort -u >"$dir/declared"
nm -D --defined-only "$second" | awk '$2 != "A" { sub("@.*", "", $3); print $3 }' |
    sort -u >"$dir/exported"
check 'the header declares little' [ "$(wc -l <"$dir/declared")" -ge 7 ]
check "declared and exported differ: $(comm -3 "$dir/declared" "$dir/exported" | xargs)" \
    cmp -s "$dir/declared" "$dir/exported"
check 'it does not need libpq' needs "$second" libpq.so
check 'it needs LMDB' needs_not "$second" liblmdb.so
check 'it needs libholdfast' needs_not "$second" libholdfast.so
check 'libholdfast does not need LMDB: is this readelf?' needs "$first" liblmdb.so
check 'libholdfast needs libpq' needs_not "$first" libpq.so

echo "postgres_library: $passed passed, $failed failed"
[ "$failed" = 0 ]
