#!/bin/bash
# consumer.sh package|pkg-config BUILD_DIR SOURCE_DIR CC - build a stranger's program and run it.
#
# Installs BUILD_DIR to a prefix of its own, moves that prefix (nothing in it may remember where it
# was made), and builds tests/cli/consumer against it: with the CMake package, or with holdfast.pc
# and the compiler alone.
set -eu
how=$1 build=$2 source=$3 cc=$4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "consumer: $how: failed at line $LINENO" >&2' ERR

cmake --install "$build" --prefix "$dir/made" >"$dir/install.log"
mv "$dir/made" "$dir/prefix"
prefix=$dir/prefix

library=$(find "$prefix" -name libholdfast.so)
[ -n "$library" ]
if find "$prefix" -path '*internal*' | grep .; then
    echo "consumer: a private header was installed" >&2
    exit 1
fi
if grep -rlF -e "$source" -e "$build" "$prefix/include" "$prefix/lib" \
    --include='*.h' --include='*.def' --include='*.cmake' --include='*.pc'; then
    echo "consumer: an installed text names the tree it was built in" >&2
    exit 1
fi

case $how in
package)
    cmake -G Ninja -S "$source/tests/cli/consumer" -B "$dir/build" -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_C_COMPILER="$cc" >"$dir/configure.log"
    cmake --build "$dir/build" >"$dir/build.log"
    program=$dir/build/consumer
    ;;
pkg-config)
    export PKG_CONFIG_PATH=${library%/*}/pkgconfig
    program=$dir/consumer
    read -ra flags < <(pkg-config --cflags --libs holdfast)
    "$cc" -Wall -Wextra -Werror "$source/tests/cli/consumer/main.c" -o "$program" "${flags[@]}"
    [ "$(pkg-config --modversion holdfast)" = \
        "$(sed -n 's/^#define HF_VERSION_[A-Z]* //p' "$source/tm/include/holdfast/base.h" |
            paste -sd.)" ]
    ;;
*)
    echo "consumer: what is $how?" >&2
    exit 2
    ;;
esac

LD_LIBRARY_PATH=${library%/*} "$program" "$dir/node"
[ -d "$dir/node" ]
echo "consumer: $how: passed"
