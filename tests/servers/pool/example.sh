#!/bin/bash
# example.sh postgres|mariadb SOURCE_DIR PROGRAM - the pool's example in rm/.../README.md is what it
# quotes, and PROGRAM, which was made of it, commits. Run by with_postgres.sh or with_mariadb.sh.
#
# The example names no server: the client libraries find the private one by their own variables.
set -u
room=$1 source=$2 program=$3

case $room in
postgres)
    export PGHOST=$HF_PG_DIR
    . "$source/tools/servers/postgres.sh"
    rows() { postgres_psql "$HF_PG_DIR" -d one -Atqc "$1"; }
    rows 'CREATE TABLE entry (n int)' || exit 1
    ;;
mariadb)
    export MYSQL_UNIX_PORT=$HF_TEST_MARIADB_DIR/socket
    rows() { mariadb --no-defaults -u root --socket="$MYSQL_UNIX_PORT" -N -e "$1" bank; }
    mariadb --no-defaults -u root --socket="$MYSQL_UNIX_PORT" \
        -e 'CREATE DATABASE bank; CREATE TABLE bank.entry (n int) ENGINE=InnoDB' || exit 1
    ;;
*)
    exit 2
    ;;
esac
"$source/tests/cli/quoted.sh" "$source/rm/$room/README.md" \
    "$source/tests/cli/${room}_example.c" "$program" committed || exit 1
count=$(rows 'SELECT count(*) FROM entry')
echo "example: $room: $count rows of 2 runs"
[ "$count" = 2 ]
