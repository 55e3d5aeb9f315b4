#!/bin/bash
# tools/servers/mariadb.sh - a private MariaDB in a directory of its own, on a Unix socket only.
#
#   mariadb.sh make|start|stop|kill|remove DIR     or sourced: mariadb_make DIR, ...
#   mariadb_keep DIR PID                           sourced only
#
#   make     initialise a database directory, DIR/data; DIR is there, and empty
#   start    start the server and wait until it answers; lines of DIR/options, if there is such a
#            file, are added to its command line
#   stop     end it in order    kill: SIGKILL; both wait until it is gone
#   remove   kill, and remove DIR
#   keep     from now on the server cannot outlive the process PID, however that one ends: a
#            watchdog kills it and removes DIR
#
# The socket is DIR/socket; root logs in without a password. As root the server runs as the user
# mysql, or nobody. The system's own server, its socket and its option files are never touched.

mariadb_user()
{
    if [ "$(id -u)" != 0 ]; then
        id -un
    elif id mysql >/dev/null 2>&1; then
        echo mysql
    else
        echo nobody
    fi
}

mariadb_program() # mariadb_program NAME: it is in sbin, which is not on everybody's path
{
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$1" ||
        { echo "mariadb.sh: there is no $1" >&2; return 1; }
}

# One that starts removes what is of temporary tables there: also those of others that run.
mariadb_make_tmp() # mariadb_make_tmp DIR USER
{
    mkdir -p "$1/tmp" && { [ "$(id -u)" != 0 ] || chown "$2" "$1/tmp"; }
}

mariadb_make()
{
    local dir=$1 user install
    user=$(mariadb_user)
    install=$(mariadb_program mariadb-install-db) || return 1
    [ "$(id -u)" != 0 ] || chown "$user" "$dir" || return 1
    mariadb_make_tmp "$dir" "$user" || return 1
    "$install" --no-defaults --datadir="$dir/data" --user="$user" --skip-test-db \
        --auth-root-authentication-method=normal --skip-name-resolve \
        --tmpdir="$dir/tmp" --innodb-log-file-size=8M >"$dir/install.log" 2>&1 ||
        { tail -n 20 "$dir/install.log" >&2; return 1; }
}

# The server's process, while it runs; also one that has not written its pid file yet. A dead one
# that nobody has waited for does not count.
mariadb_pid()
{
    local process found=1
    for process in $(grep -lsF -e "--datadir=$1/data" /proc/[0-9]*/cmdline); do
        process=${process%/cmdline}
        if grep -qsx mariadbd "$process/comm" && ! grep -qs '^State:.*Z' "$process/status"; then
            echo "${process#/proc/}"
            found=0
        fi
    done
    return $found
}

mariadb_answers()
{
    mariadb-admin --no-defaults -u root --socket="$1/socket" ping >/dev/null 2>&1
}

mariadb_start()
{
    local dir=$1 user server options=() i
    user=$(mariadb_user)
    server=$(mariadb_program mariadbd) || return 1
    [ ! -e "$dir/options" ] || mapfile -t options <"$dir/options"
    mariadb_make_tmp "$dir" "$user" || return 1
    # Not our child: it does not die with the shell that starts it again, but with PID (keep).
    (setsid "$server" --no-defaults --user="$user" --datadir="$dir/data" --socket="$dir/socket" \
        --pid-file="$dir/pid" --log-error="$dir/log" --tmpdir="$dir/tmp" --skip-networking \
        --skip-name-resolve --performance-schema=off --innodb-buffer-pool-size=16M \
        --innodb-log-file-size=8M --innodb-lock-wait-timeout=5 "${options[@]}" \
        </dev/null >/dev/null 2>&1 &)
    for ((i = 0; i < 600; i++)); do
        mariadb_answers "$dir" && return 0
        sleep 0.1
    done
    tail -n 20 "$dir/log" >&2
    return 1
}

mariadb_end() # mariadb_end SIGNAL DIR
{
    local i
    # shellcheck disable=SC2046 # one word for each process
    kill -s "$1" $(mariadb_pid "$2") 2>/dev/null
    for ((i = 0; i < 600; i++)); do
        mariadb_pid "$2" >/dev/null || return 0
        sleep 0.1
    done
    echo "mariadb.sh: the server does not end" >&2
    return 1
}

mariadb_stop() { mariadb_end TERM "$1"; }
mariadb_kill() { mariadb_end KILL "$1"; }

mariadb_remove()
{
    mariadb_kill "$1"
    rm -rf "$1"
}

# A process and when it began: numbers are given out again.
mariadb_owner()
{
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}

mariadb_watch() # what the watchdog does
{
    local dir=$1 owner=$2 began=$3
    while [ -d "$dir" ] && [ "$(mariadb_owner "$owner")" = "$began" ]; do
        sleep 0.2
    done
    [ ! -d "$dir" ] || mariadb_remove "$dir"
}

mariadb_keep()
{
    (setsid "${BASH_SOURCE[0]}" watch "$1" "$2" "$(mariadb_owner "$2")" \
        </dev/null >/dev/null 2>&1 &)
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    case ${1-}:$# in
    make:2 | start:2 | stop:2 | kill:2 | remove:2 | watch:4) "mariadb_$1" "${@:2}" ;;
    *)
        sed -n '2,/^$/ s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
fi
