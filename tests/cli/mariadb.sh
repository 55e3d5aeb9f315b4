#!/bin/bash
# mariadb.sh BUILD_DIR SOURCE_DIR CC LIBRARY - libholdfast-mariadb as it is delivered.
#
#   - it shows exactly what its public header declares;
#   - it needs MariaDB's client library and nothing of LMDB's;
#   - its header compiles by itself, and a stranger's program is built with it and run, by the CMake
#     package and by pkg-config, from an installation that was moved.
set -u
export LC_ALL=C
build=$1 source=$2 cc=$3 library=$4
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

check() # check WHAT COMMAND...
{
    local what=$1
    shift
    if "$@" >"$dir/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "mariadb: not so: $what"
        cat "$dir/log"
    fi
}

sed 's|/\*.*\*/||' "$source/rm/mariadb/include/holdfast/mariadb.h" | tr '\n' ' ' |
    grep -oE 'HF_API [^;(]*[(;]' | grep -oE 'hf_[a-z_0-9]+ ?[(;]$' | tr -d ' (;' |
    sort -u >"$dir/declared"
nm -D --defined-only "$library" | awk '$2 != "A" { sub("@.*", "", $3); print $3 }' |
    sort -u >"$dir/exported"
check "the header declares something" test -s "$dir/declared"
check "it shows what the header declares" diff "$dir/declared" "$dir/exported"
objdump -p "$library" | awk '$1 == "NEEDED" { print $2 }' >"$dir/needed"
check "it needs libmariadb" grep -q '^libmariadb' "$dir/needed"
check "it needs no LMDB" test -z "$(grep lmdb "$dir/needed")"

check "it is installed" cmake --install "$build" --prefix "$dir/made"
mv "$dir/made" "$dir/prefix"
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$dir/prefix" -name holdfast-mariadb.pc)")

cat >"$dir/main.c" <<'END'
#include <holdfast/mariadb.h>

#include <stdio.h>

int main(void)
{
    int rc = hf_mariadb_switch.xa_open_entry((char *)"socket=/nonexistent;user=u", 1, TMNOFLAGS);

    printf("%s %d\n", hf_mariadb_switch.name, rc);
    return rc == XAER_RMERR && hf_mariadb_conn(1) == NULL && hf_mariadb_ext.size > 0 ? 0 : 1;
}
END
cat >"$dir/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(stranger LANGUAGES C)
find_package(holdfast REQUIRED)
add_executable(by-package main.c)
target_link_libraries(by-package PRIVATE holdfast::mariadb)
END
read -ra flags < <(pkg-config --cflags --libs holdfast-mariadb)
check "pkg-config builds with it" \
    "$cc" -Wall -Wextra -Werror "$dir/main.c" -o "$dir/by-pkg-config" "${flags[@]}"
check "the package is found" cmake -G Ninja -S "$dir" -B "$dir/build" \
    -DCMAKE_PREFIX_PATH="$dir/prefix" -DCMAKE_C_COMPILER="$cc"
check "the package builds with it" cmake --build "$dir/build"
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
check "the one runs" "$dir/by-pkg-config"
check "the other runs" "$dir/build/by-package"

echo "mariadb: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -ge 10 ]
