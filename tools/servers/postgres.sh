#!/bin/bash
# tools/servers/postgres.sh - a private PostgreSQL in a directory of its own. To be sourced.
#
#   postgres_make DIR [SETTING...]   a new cluster in DIR (made; removed when the caller is gone)
#   postgres_start DIR               start it and wait until it answers
#   postgres_stop DIR [MODE]         smart, fast (the default) or immediate
#   postgres_kill DIR                SIGKILL to the postmaster, and wait until all are gone
#   postgres_psql DIR ARGUMENT...    psql as its superuser
#   postgres_standby FROM DIR        a streaming standby of FROM, in DIR; not started
#   postgres_promote DIR             make a standby a primary
#
# It listens on a Unix socket in DIR only, so that it never meets the system's cluster, and is the
# caller's child: an unreaped postmaster would keep the next one from starting. It dies with the
# caller, however that ends. As root it runs as the user postgres, because PostgreSQL refuses root.
# Databases one and two; the superuser is hf, without a password; the role locked has one.

postgres_bin=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)
postgres_bin=${postgres_bin%/initdb}
postgres_password=kingfisher-4711
declare -A postgres_pid postgres_began

postgres_as_user=()
if [ "$(id -u)" = 0 ]; then
    postgres_as_user=(setpriv --reuid=postgres --regid=postgres --init-groups)
fi

# Whatever becomes of the caller, DIR goes with it.
postgres_sweep() # postgres_sweep DIR
{
    setsid bash -c 'tail --pid="$1" -f /dev/null
        pid=$(head -n 1 "$2/data/postmaster.pid" 2>/dev/null)
        [ -n "$pid" ] && [ "/proc/$pid/cwd" -ef "$2/data" ] && # not a number given out again
            kill -QUIT "$pid" 2>/dev/null && sleep 0.5
        rm -rf "$2"' sweep "$$" "$1" </dev/null >/dev/null 2>&1 &
    disown
}

# When a process began: numbers are given out again. By the shell alone.
postgres_began_of() # postgres_began_of PID: into postgres_answer
{
    local text words
    postgres_answer=
    read -r text 2>/dev/null <"/proc/$1/stat" || return 1
    read -ra words <<<"${text##*) }"
    postgres_answer=${words[19]-}
}

# Is the postmaster of DIR there, and not another process by its number?
postgres_is_there() # postgres_is_there DIR
{
    [ -n "${postgres_pid[$1]-}" ] && postgres_began_of "${postgres_pid[$1]}" &&
        [ "$postgres_answer" = "${postgres_began[$1]-}" ]
}

postgres_configure() # postgres_configure DIR SETTING...
{
    local dir=$1 setting
    shift
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$dir'"
        echo "max_prepared_transactions = 64"
        echo "max_connections = 100"
        echo "shared_buffers = 32MB"
        echo "wal_level = replica"
        # After a crash one call, and not one for each of a thousand files. Since version 14.
        [ "$(basename "${postgres_bin%/bin}")" -lt 14 ] || echo "recovery_init_sync_method = syncfs"
        for setting in "$@"; do
            echo "$setting"
        done
    } >>"$dir/data/postgresql.conf"
    {
        echo "local all locked scram-sha-256"
        echo "local all all trust"
        echo "local replication all trust"
    } >"$dir/data/pg_hba.conf"
}

postgres_make()
{
    local dir=$1
    shift
    mkdir -p "$dir" && chmod 0755 "$dir" || return 1
    [ "${#postgres_as_user[@]}" = 0 ] || chown postgres: "$dir" || return 1
    postgres_sweep "$dir"
    "${postgres_as_user[@]}" "$postgres_bin/initdb" -D "$dir/data" -U hf -A trust -E UTF8 \
        --no-locale --no-instructions >"$dir/initdb.log" 2>&1 || {
        cat "$dir/initdb.log" >&2
        return 1
    }
    postgres_configure "$dir" "$@"
    postgres_start "$dir" || return 1
    postgres_psql "$dir" -d postgres -q <<SQL
CREATE DATABASE one;
CREATE DATABASE two;
CREATE ROLE locked LOGIN PASSWORD '$postgres_password';
CREATE ROLE plain LOGIN;
SQL
}

# One try: 0 once it answers, 1 if it has gone again.
postgres_try()
{
    local dir=$1 i
    (
        cd "$dir" || exit 1
        exec "${postgres_as_user[@]:-env}" ${postgres_as_user:+--pdeathsig QUIT} \
            "$postgres_bin/postgres" -D "$dir/data"
    ) </dev/null >>"$dir/log" 2>&1 &
    postgres_pid[$dir]=$!
    postgres_began_of "$!"
    postgres_began[$dir]=$postgres_answer
    for ((i = 0; i < 1200; i++)); do
        "$postgres_bin/pg_isready" -q -h "$dir" -U hf -d postgres && return 0
        kill -0 "${postgres_pid[$dir]}" 2>/dev/null || break
        sleep 0.05
    done
    wait "${postgres_pid[$dir]}" 2>/dev/null
    return 1
}

# It refuses to start while a process of a postmaster that was killed is still there.
postgres_start()
{
    local i
    for ((i = 0; i < 50; i++)); do
        postgres_try "$1" && return 0
        tail -n 5 "$1/log" | grep -q 'pre-existing shared memory block' || break
        sleep 0.1
    done
    tail -n 20 "$1/log" >&2
    return 1
}

postgres_stop()
{
    ! postgres_is_there "$1" ||
        "${postgres_as_user[@]}" "$postgres_bin/pg_ctl" -D "$1/data" -m "${2:-fast}" -s stop
    [ -z "${postgres_pid[$1]-}" ] || wait "${postgres_pid[$1]}" 2>/dev/null
    return 0
}

# A dead process that init has not waited for yet does not count: it holds nothing any more.
postgres_runs() # postgres_runs PID
{
    kill -0 "$1" 2>/dev/null && ! grep -qs '^State:.*Z' "/proc/$1/status"
}

postgres_kill()
{
    local pid=${postgres_pid[$1]-} child
    local -A began=()
    if ! postgres_is_there "$1"; then
        [ -z "$pid" ] || wait "$pid" 2>/dev/null
        return 0
    fi
    for child in $(pgrep -P "$pid"); do
        ! postgres_began_of "$child" || began[$child]=$postgres_answer
    done
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
    # They see that it is gone, and go; a new one refuses to start before that.
    for child in "${!began[@]}"; do
        while postgres_runs "$child" && postgres_began_of "$child" &&
            [ "$postgres_answer" = "${began[$child]}" ]; do
            sleep 0.01
        done
    done
    return 0
}

postgres_psql()
{
    local dir=$1
    shift
    "$postgres_bin/psql" -X -h "$dir" -U hf -v ON_ERROR_STOP=1 "$@"
}

postgres_standby()
{
    local from=$1 dir=$2
    mkdir -p "$dir" && chmod 0755 "$dir" || return 1
    [ "${#postgres_as_user[@]}" = 0 ] || chown postgres: "$dir" || return 1
    postgres_sweep "$dir"
    "${postgres_as_user[@]}" "$postgres_bin/pg_basebackup" -h "$from" -U hf -D "$dir/data" \
        -R -X stream -c fast || return 1
    echo "unix_socket_directories = '$dir'" >>"$dir/data/postgresql.conf"
}

postgres_promote()
{
    "${postgres_as_user[@]}" "$postgres_bin/pg_ctl" -D "$1/data" -s -w promote
}
