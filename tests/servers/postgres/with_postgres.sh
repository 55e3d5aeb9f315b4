#!/bin/bash
# with_postgres.sh SOURCE_DIR PROGRAM [ARGUMENT...] - run a test beside a private PostgreSQL.
#
# The program finds the server by HF_PG_DIR, the directory of its socket, and asks for what only the
# server's parent can do by lines written to HF_PG_DIR/ask, each answered by a line in
# HF_PG_DIR/answer: "done" or "failed".
#
#   start | stop [fast|immediate] | kill | set NAME VALUE (and restart)
#   standby                 a streaming standby in HF_PG_DIR/standby, started
#   standby-stop | standby-start | standby-promote
set -u
source=$1
shift
# shellcheck source=tools/servers/postgres.sh
. "$source/tools/servers/postgres.sh"

dir=$(mktemp -d /tmp/hf-pg.XXXXXX) || exit 1
postgres_make "$dir" || exit 1
mkfifo "$dir/ask" "$dir/answer" || exit 1
exec 8<>"$dir/ask" 9<>"$dir/answer"

serve() # serve VERB [ARGUMENT...]
{
    case $1 in
    start) postgres_start "$dir" ;;
    stop) postgres_stop "$dir" "${2:-fast}" ;;
    kill) postgres_kill "$dir" ;;
    set)
        echo "$2 = $3" >>"$dir/data/postgresql.conf"
        postgres_stop "$dir" && postgres_start "$dir"
        ;;
    standby) postgres_standby "$dir" "$dir/standby" && postgres_start "$dir/standby" ;;
    standby-stop) postgres_stop "$dir/standby" immediate ;;
    standby-start) postgres_start "$dir/standby" ;;
    standby-promote) postgres_promote "$dir/standby" ;;
    *) false ;;
    esac
}

# The program's end is a line, too: reading with a time limit could take half of one.
(
    HF_PG_DIR=$dir HF_PG_PASSWORD=$postgres_password "$@" 8<&- 9<&-
    echo "over $?" >&8
) &
status=1
while read -r -u 8 -a line; do
    if [ "${line[0]-}" = over ]; then
        status=${line[1]}
        break
    fi
    if serve "${line[@]}" 8<&- 9<&-; then
        echo "done" >&9
    else
        echo "failed" >&9
    fi
done
if [ "$status" != 0 ]; then
    echo "--- the end of the server's log:"
    tail -n 30 "$dir/log"
fi
exit "$status"
