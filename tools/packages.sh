#!/bin/bash
# tools/packages.sh - the Debian packages that the demo and the check need. To be sourced.
#
#   packages_need demo|databases|check [--no-install]
#
# says which are missing and installs them by apt-get, with sudo where the user is not root. With
# --no-install it lists them and returns 1. Returns 0 when all are there.

packages_demo=(cmake ninja-build gcc libc6-dev liblmdb-dev libxxhash-dev libjansson-dev)
packages_databases=("${packages_demo[@]}" pkg-config) # the demo over databases
packages_databases+=(postgresql libpq-dev mariadb-server libmariadb-dev)
packages_check=("${packages_databases[@]}" g++ libcmocka-dev binutils python3 valgrind)
packages_check+=(libinih-dev libdb-dev)
packages_check+=(e2fsprogs xfsprogs)

# Print the packages among the arguments that are not installed.
packages_missing()
{
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s\n' "$package"
    done
}

packages_as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        echo "packages: neither root nor sudo: cannot run: $*" >&2
        return 1
    fi
}

packages_apt()
{
    packages_as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -y -q -o Dpkg::Use-Pty=0 "$@" </dev/null
}

packages_install()
{
    echo "packages: installing: $*"
    # The lists may be missing altogether, as in a container, or too old to find the files by.
    if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
        packages_apt update || return 1
    fi
    packages_apt install --no-install-recommends "$@" ||
        { packages_apt update && packages_apt install --no-install-recommends "$@"; }
}

packages_need()
{
    local wanted missing
    case $1 in
    demo) wanted=("${packages_demo[@]}") ;;
    databases) wanted=("${packages_databases[@]}") ;;
    check) wanted=("${packages_check[@]}") ;;
    *)
        echo "packages: packages_need demo|databases|check, not $1" >&2
        return 2
        ;;
    esac
    if ! command -v dpkg-query >/dev/null; then
        echo "packages: not a Debian system; needed there are: ${wanted[*]}" >&2
        return 0
    fi

    mapfile -t missing < <(packages_missing "${wanted[@]}")
    [ "${#missing[@]}" = 0 ] && return 0
    echo "packages: missing: ${missing[*]}"
    if [ "${2-}" = --no-install ]; then
        echo "packages: not installed, as asked; do: apt-get install ${missing[*]}" >&2
        return 1
    fi
    packages_install "${missing[@]}" || return 1

    # apt-get may be content where we are not.
    mapfile -t missing < <(packages_missing "${wanted[@]}")
    [ "${#missing[@]}" = 0 ] && return 0
    echo "packages: still missing: ${missing[*]}" >&2
    return 1
}
