#!/bin/bash
# tools/bank/bank_servers.sh DIR - a PostgreSQL and a MariaDB for the bank in DIR, until stdin ends.
#
# Makes both, private and on Unix sockets only, with the bank's tables, writes DIR/stores, which
# says where they are, and then "ok". Reads commands from stdin and answers each by a line, "ok" or
# "failed":
#
#   kill postgres          SIGKILL to the postmaster and to all of its processes
#   immediate postgres     an immediate stop, as after `pg_ctl stop -m immediate`
#   kill mariadb           SIGKILL
#   start postgres|mariadb
#
# A server that was killed is gone, with all of its processes, when the answer comes; one that was
# started serves. At the end the servers' logs are copied into DIR and everything else of them is
# removed; so it is, by the servers' own watchdogs, if this process is killed.
set -u
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")/../servers" && pwd) || exit 1
# shellcheck source=tools/servers/postgres.sh
. "$tools/postgres.sh"
# shellcheck source=tools/servers/mariadb.sh
. "$tools/mariadb.sh"
bank=$1
exec 3>&1 >&2 # answers go out by 3, and only they

pg='' my=''
finish() # from the first directory on, whatever has been made by then
{
    cp "$pg/log" "$bank/postgres.log" 2>/dev/null
    cp "$my/log" "$bank/mariadb.log" 2>/dev/null
    [ -z "$pg" ] || postgres_kill "$pg" 2>/dev/null
    [ -z "$my" ] || mariadb_remove "$my"
    [ -z "$pg" ] || rm -rf "$pg"
}
trap finish EXIT

# Short: the path of a Unix socket has room for about 100 characters.
pg=$(mktemp -d "${TMPDIR:-/var/tmp}/holdfast-pg.XXXXXX") || exit 1
my=$(mktemp -d "${TMPDIR:-/var/tmp}/holdfast-my.XXXXXX") || exit 1
export TMPDIR=$my # MariaDB has a user of its own, who may not write to ours

make_postgres()
{
    postgres_make "$pg" || return 1
    postgres_psql "$pg" -d one -q <<'SQL'
CREATE TABLE account (name text PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE done (id text PRIMARY KEY, xid text NOT NULL);
SQL
}

make_mariadb()
{
    mariadb_keep "$my" $$
    mariadb_make "$my" && mariadb_start "$my" || return 1
    mariadb --no-defaults -u root --socket="$my/socket" <<'SQL'
CREATE DATABASE bank CHARACTER SET ascii COLLATE ascii_bin;
CREATE TABLE bank.account (name varchar(40) PRIMARY KEY, balance bigint NOT NULL) ENGINE=InnoDB;
CREATE TABLE bank.done (id varchar(40) PRIMARY KEY, xid varchar(80) NOT NULL) ENGINE=InnoDB;
SQL
}

# A lock that a dead transaction holds is waited for until recovery has settled that, or a while.
write_stores()
{
    (
        umask 077
        cat >"$bank/stores" <<STORES
east host=$pg dbname=one user=hf options='-c lock_timeout=5s'
west socket=$my/socket;user=root;database=bank;proof=marker
STORES
    )
}

# The blow itself is made by the shell alone, so that it falls when it was asked for; then the
# server's own script waits until all is gone. All processes at once: a postmaster alone would leave
# its others the time to finish what they do.
kill_postgres()
{
    local pid=${postgres_pid[$pg]-} children
    postgres_is_there "$pg" || return 1
    read -ra children <"/proc/$pid/task/$pid/children"
    kill -KILL "$pid" "${children[@]}"
    postgres_kill "$pg"
}

stop_postgres_at_once()
{
    postgres_is_there "$pg" || return 1
    kill -QUIT "${postgres_pid[$pg]}"
    postgres_stop "$pg" immediate
}

kill_mariadb()
{
    local pid words
    pid=$(<"$my/pid") && mapfile -d '' -t words <"/proc/$pid/cmdline" || return 1
    [[ " ${words[*]} " == *" --datadir=$my/data "* ]] || return 1 # the file is of one before
    kill -KILL "$pid"
    mariadb_kill "$my"
}

serve() # serve VERB SERVER
{
    case "$1 $2" in
    "kill postgres") kill_postgres ;;
    "immediate postgres") stop_postgres_at_once ;;
    "kill mariadb") kill_mariadb ;;
    "start postgres") postgres_start "$pg" ;;
    "start mariadb") mariadb_start "$my" ;;
    *) false ;;
    esac
}

if ! make_postgres || ! make_mariadb || ! write_stores; then
    cp "$my/install.log" "$bank/mariadb-install.log" 2>/dev/null
    echo failed >&3
    exit 1
fi
echo ok >&3
while read -r verb server; do
    if serve "$verb" "$server" <&-; then echo ok >&3; else echo failed >&3; fi
done
