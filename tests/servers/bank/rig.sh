#!/bin/bash
# rig.sh BANK_CHAOS SOURCE_DIR - the servers end with the supervisor, however that ends: nothing of
# them is left, no process and no directory. Told to stop it says so last, and exits with 1.
set -u
chaos=$1 source=$2
dir=$(mktemp -d /tmp/hf-rig.XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir" # the servers' users have to get through
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
        tail -n 5 "$dir/out"
        [ ! -e "$dir/bank/bank.log" ] || tail -n 20 "$dir/bank/bank.log"
    fi
}

left() # what the servers have left, their watchdogs included
{
    directories || grep -lsF -e "$dir/holdfast-" /proc/[0-9]*/cmdline
}

directories()
{
    compgen -G "$dir/holdfast-*"
}

gone() # gone COMMAND...: within 30 seconds the command fails
{
    local i
    for ((i = 0; i < 300; i++)); do
        "$@" >/dev/null || return 0
        sleep 0.1
    done
    "$@"
    return 1
}

for signal in KILL INT TERM; do
    : >"$dir/out" # the one of the signal before would be read else
    TMPDIR=$dir "$chaos" --servers "$source/tools/bank/bank_servers.sh" --transfers 60000 \
        --kills 300 "$dir/bank" >"$dir/out" 2>&1 &
    pid=$!
    for ((i = 0; i < 600; i++)); do
        grep -q -e '^demo: kill 2 ' -e '^demo: failed' "$dir/out" && break
        sleep 0.1
    done
    check "$signal: the bank was killed" grep -q '^demo: kill 2 ' "$dir/out"
    check "$signal: there are servers" eval 'left >/dev/null'
    kill -s "$signal" "$pid"
    wait "$pid" 2>/dev/null
    status=$?
    if [ "$signal" != KILL ]; then
        check "$signal: the status is $status" [ "$status" = 1 ]
        check "$signal: the last line" grep -q '^demo: failed: stopped' <<<"$(tail -n 1 "$dir/out")"
        check "$signal: a directory is left at once" eval '! directories'
    fi
    check "$signal: something is left" gone left
    rm -rf "$dir/bank"
done

# Root's server has a user of its own, who does not get through: initdb fails. Else both are made.
mkdir -m 700 "$dir/shut" "$dir/shut/bank"
TMPDIR=$dir/shut "$source/tools/bank/bank_servers.sh" "$dir/shut/bank" \
    </dev/null >"$dir/out" 2>"$dir/shut.log"
if [ "$(id -u)" = 0 ]; then
    check "root got through" grep -qx failed "$dir/out"
fi
check "shut: a directory is left at once" eval '! compgen -G "$dir/shut/holdfast-*"'

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
