#!/bin/bash
# cuts_servers.sh DIR - a PostgreSQL and a MariaDB in DIR, for crash_cuts_servers and crash_pairs.
#
# Says "ok", or "none" if one of the two is not installed, and ends then. Reads words from stdin,
# and answers each with a line "ok" or "failed":
#   make   both, new and up, with a table t(n) each, and all of it on the disk
#   up     start what was there before
#   down   kill both, and wait until nothing of them is left
#   postgres, mariadb   kill that one, and start it again
# Ends with its stdin. Nothing it has started outlives it, nor does what it has made.
set -u
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../../tools/servers" && pwd) || exit 1
. "$tools/postgres.sh"
. "$tools/mariadb.sh"
dir=$1

sweep() # PostgreSQL's script has its own
{
    setsid bash -c 'tail --pid="$1" -f /dev/null; . "$2"; mariadb_remove "$3"' sweep $$ \
        "$tools/mariadb.sh" "$dir/my" </dev/null >/dev/null 2>&1 &
    disown
}

make()
{
    mkdir "$dir/my" && postgres_make "$dir/pg" && mariadb_make "$dir/my" &&
        mariadb_start "$dir/my" || return 1
    postgres_psql "$dir/pg" -d one -q -c 'CREATE TABLE t (n integer PRIMARY KEY)' || return 1
    mariadb --no-defaults -u root --socket="$dir/my/socket" \
        -e 'CREATE DATABASE one; CREATE TABLE one.t (n integer PRIMARY KEY) ENGINE=InnoDB' ||
        return 1
    sync -f "$dir"
}

up()
{
    postgres_start "$dir/pg" && mariadb_start "$dir/my"
}

down() # PostgreSQL may have given up by itself
{
    postgres_kill "$dir/pg" 2>/dev/null
    mariadb_kill "$dir/my"
}

postgres()
{
    postgres_kill "$dir/pg" && postgres_start "$dir/pg"
}

mariadb_again()
{
    mariadb_kill "$dir/my" && mariadb_start "$dir/my"
}

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
if [ -z "$postgres_bin" ] || ! command -v mariadbd >/dev/null ||
    ! command -v mariadb-install-db >/dev/null; then
    echo none
    exit 0
fi
echo ok
sweep
while read -r word; do
    case $word in
    make | up | down | postgres)
        if "$word" >/dev/null; then echo ok; else echo failed; fi
        ;;
    mariadb) # which is the client's name, too
        if mariadb_again >/dev/null; then echo ok; else echo failed; fi
        ;;
    *) exit 2 ;;
    esac
done
