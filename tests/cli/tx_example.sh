#!/bin/bash
# tx_example.sh BUILD_DIR SOURCE_DIR CC - the TX program of README.md, as it stands there.
#
# Installs BUILD_DIR, takes program and configuration out of README.md, compiles the one by
# pkg-config with all warnings, and runs it in a directory of its own: with its two stores, with
# Berkeley DB beside them where that is, and without the library that the file names. A transaction
# manager that did nothing is noticed: the stores, read by a second program, have what was committed
# and have not what was rolled back.
set -u
export LC_ALL=C
build=$1 source=$2 cc=$3
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
        echo "tx_example: $text"
        sed 's/^/    /' "$dir/out" "$dir/err" 2>/dev/null
    fi
}

block() # block LANGUAGE PATTERN: the code in README.md that has it
{
    awk -v start="\`\`\`$1" -v pattern="$2" '
        $0 == start { text = ""; inside = 1; next }
        /^```$/ && inside { if (text ~ pattern) printf "%s", text; inside = 0 }
        inside { text = text $0 "\n" }' "$source/README.md"
}

cmake --install "$build" --prefix "$dir/prefix" >"$dir/install.log" || exit 1
library=$(find "$dir/prefix" -name libholdfast-tx.so)
export PKG_CONFIG_PATH=${library%/*}/pkgconfig
read -ra flags < <(pkg-config --cflags --libs holdfast-tx)
flags+=("-Wl,-rpath,${library%/*}" -Wl,--as-needed) # it finds libholdfast beside itself

block c 'tx_open' >"$dir/shop.c"
block ini 'holdfast' | sed "s|/var/lib/shop|$dir|" >"$dir/all.ini"
sed '/^\[rm archive\]/,$d' "$dir/all.ini" >"$dir/two.ini"
mkdir "$dir/archive"
check 'README.md has no program' [ -s "$dir/shop.c" ]
check 'README.md has no configuration' [ "$(grep -c '^\[rm ' "$dir/all.ini")" = 3 ]
check 'it does not compile' "$cc" -std=c99 -Wall -Wextra -Werror "$dir/shop.c" -o "$dir/shop" \
    "${flags[@]}"

cat >"$dir/reader.c" <<'END'
#include <holdfast/config.h>
#include <holdfast/kv.h>
#include <stdio.h>
#include <tx.h>
static int show(void *user, const void *key, size_t key_size, const void *value, size_t size)
{
    return printf("%s %.*s=%.*s\n", (const char *)user, (int)key_size, (const char *)key, (int)size,
                  (const char *)value) < 0;
}
int main(void)
{
    int stock, orders;
    if (tx_open() != TX_OK || hf_opened_rmid("stock", &stock) || hf_opened_rmid("orders", &orders))
        return 1;
    if (hf_kv_each(stock, "", 0, show, "stock") || hf_kv_each(orders, "", 0, show, "orders"))
        return 1;
    return tx_close() != TX_OK;
}
END
check 'the reader does not compile' "$cc" "$dir/reader.c" -o "$dir/reader" "${flags[@]}"

run() # run CODE FILE PROGRAM
{
    HOLDFAST_CONFIG=$2 "$3" >"$dir/out" 2>"$dir/err"
    check "$3 with $2: exit code not $1" [ $? = "$1" ]
}

trial() # trial FILE: from empty stores
{
    rm -rf "$dir"/{node,stock,orders,archive}
    mkdir "$dir/archive"
    run 0 "$1" "$dir/shop"
    check 'not ten transactions done' [ "$(grep -c ' pieces: done$' "$dir/out")" = 10 ]
    run 0 "$dir/two.ini" "$dir/reader"
    check 'not nine orders' [ "$(grep -c '^orders [1-9]=1$' "$dir/out")" = 9 ]
    check 'an order that was rolled back' [ "$(grep -c '^orders' "$dir/out")" = 9 ]
    check 'wrong stock' grep -q '^stock pieces=1$' "$dir/out"
}

trial "$dir/two.ini"
if LD_LIBRARY_PATH=${library%/*} "$dir/prefix/bin/txctl" config check "$dir/all.ini" \
    >"$dir/out" 2>&1; then
    trial "$dir/all.ini"
    check 'Berkeley DB was not called' [ -n "$(ls "$dir/archive")" ]
else
    check 'config check fails for another reason' grep -q 'libdb-5.3.so: cannot open' "$dir/out"
    run 1 "$dir/all.ini" "$dir/shop"
    echo 'tx_example: no Berkeley DB: its trial is left out'
fi
sed 's|^library = .*|library = /none.so|' "$dir/all.ini" >"$dir/bad.ini"
run 1 "$dir/bad.ini" "$dir/shop"

echo "tx_example: $passed passed, $failed failed"
[ "$failed" = 0 ]
