#!/bin/bash
# with_mariadb.sh PROGRAM [ARGUMENT...] - run a test with a MariaDB of its own.
#
# Exports HF_TEST_MARIADB, the open string without its database, HF_TEST_MARIADB_DIR, the server's
# directory, and HF_TEST_MARIADB_SCRIPT, which stops and starts it (tools/servers/mariadb.sh). The
# server ends with this script, however it ends. Exit status: the program's.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
HF_TEST_MARIADB_SCRIPT=$here/../../tools/servers/mariadb.sh
. "$HF_TEST_MARIADB_SCRIPT"

dir=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-mariadb-XXXXXX") || exit 1
trap 'mariadb_remove "$dir"' EXIT
mariadb_keep "$dir" $$
if ! mariadb_make "$dir" || ! mariadb_start "$dir"; then
    echo "with_mariadb: no server" >&2
    exit 1
fi
export HF_TEST_MARIADB_SCRIPT
export HF_TEST_MARIADB_DIR=$dir
export HF_TEST_MARIADB="socket=$dir/socket;user=root"
"$@"
