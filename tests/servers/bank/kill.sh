#!/bin/bash
# kill.sh BANK_CHAOS SOURCE_DIR [--plant BUG] - a short run of the bank over a PostgreSQL and a
# MariaDB, with kills of all three, verified after each kill of the bank; with a planted bug the
# verifier has to notice.
set -u
chaos=$1 source=$2
shift 2
dir=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-kill-sql-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
# With so few kills it is chance which way recovery decides.
few=(--kills 8 --server-kills 2 --transfers 3000 --min-rolledback 0 --min-doubt-percent 25
    --verify-each)
# A server has to die between the decision and its own commit: more kills of servers.
[ $# = 0 ] || few=(--kills 2 --server-kills 8 --transfers 4000)
out=$("$chaos" --servers "$source/tools/bank/bank_servers.sh" "${few[@]}" "$@" --keep "$dir/bank")
status=$?
printf '%s\n' "$out"
good=1
if [ $# = 0 ]; then
    [ "$status" = 0 ] && [[ ${out##*$'\n'} == "demo: ok: "* ]] || good=0
else
    [ "$status" = 1 ] && [[ ${out##*$'\n'} == "demo: failed: "* ]] &&
        grep -q '^verify: .* is done in .* only$' <<<"$out" || good=0
fi
if [ $good = 0 ]; then
    for log in bank postgres mariadb mariadb-install; do
        [ ! -e "$dir/bank/$log.log" ] || { echo "--- $log.log:"; tail -n 30 "$dir/bank/$log.log"; }
    done
    echo "0 passed, 1 failed"
    exit 1
fi
[ $# != 0 ] || echo "rig: 12 kills of the bank and its databases, 0 violations"
echo "1 passed, 0 failed"
