#!/bin/bash
# rig.sh SOURCE_DIR - the private server dies with its caller, however that ends, and takes its
# directory along.
set -u
source=$1
dir=$(mktemp -d /tmp/hf-pg-rig.XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
passed=0 failed=0

check() # check TEXT COMMAND...: the command has to succeed
{
    local text=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "rig: $text"
    fi
}

gone() # gone COMMAND...: within ten seconds the command fails
{
    local i
    for ((i = 0; i < 1200; i++)); do
        "$@" || return 0
        sleep 0.05
    done
    return 1
}

runs() { kill -0 "$1" 2>/dev/null; }

for signal in KILL TERM; do
    mkfifo "$dir/ready"
    bash -c '. "$1/tools/servers/postgres.sh" && postgres_make "$2/server" && echo ready >"$2/ready"
        while :; do sleep 0.1; done' rig "$source" "$dir" &
    caller=$!
    read -r line <"$dir/ready"
    check 'it does not start' [ "$line" = ready ]
    server=$(head -n 1 "$dir/server/data/postmaster.pid")
    check 'it does not run' runs "$server"
    address=$(sed -n 6p "$dir/server/data/postmaster.pid")
    check "it listens on $address" [ -z "${address// /}" ]
    check 'it runs as root' [ "$(stat -c %U "/proc/$server")" != root ]
    kill "-$signal" "$caller"
    wait "$caller" 2>/dev/null
    check "SIG$signal to its caller leaves the server" gone runs "$server"
    check "SIG$signal to its caller leaves the directory" gone test -e "$dir/server"
    rm "$dir/ready"
done

# Numbers are given out again: neither its own note nor a pid file makes another process a server.
env --default-signal=QUIT sleep 600 & # in the background of a script it would be ignored
other=$!
sleeps() { grep -qs '^State:.S' "/proc/$1/status"; }
bash -c '. "$1/tools/servers/postgres.sh"
    declare -A postgres_began
    postgres_pid[$2/old]=$3 postgres_began[$2/old]=1
    postgres_kill "$2/old" 2>/dev/null' rig "$source" "$dir" "$other"
check 'a note of before kills another process' sleeps "$other"
mkdir -p "$dir/old/data"
echo "$other" >"$dir/old/data/postmaster.pid"
bash -c '. "$1/tools/servers/postgres.sh" && postgres_sweep "$2/old"' rig "$source" "$dir"
check 'the directory is left' gone test -e "$dir/old"
check 'a pid file of before kills another process' sleeps "$other"
kill "$other"

echo "rig: $passed passed, $failed failed"
[ "$failed" = 0 ]
