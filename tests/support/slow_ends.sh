#!/bin/bash
# slow_ends.sh LIBRARY PROGRAM [ARGUMENT...] - run a test with a MariaDB whose sessions end slowly.
#
# LIBRARY is that of slow_ends.c. Exit status: the program's; 77 if the server could not be slowed
# down, as it has no such function.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
pauses=$(mktemp "${TMPDIR:-/tmp}/holdfast-slow-ends-XXXXXX") || exit 1
trap 'rm -f "$pauses"' EXIT
chmod 0666 "$pauses" # the server may run as another user
LD_PRELOAD=$1 HF_SLOW_ENDS=$pauses "$here/with_mariadb.sh" "${@:2}"
status=$?
if [ "$status" = 0 ] && [ ! -s "$pauses" ]; then
    echo "slow_ends: nothing was slowed down: this server has no unlink_thd()"
    status=77
fi
exit "$status"
