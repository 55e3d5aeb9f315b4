# tests/cli/txctl/lib.sh TXCTL MAKE_NODE SOURCE_DIR - what these scripts share. To be sourced.
#
#   run CODE ARGUMENT...     run txctl; its exit code has to be CODE; sets $out and $err
#   says PATTERN             $out has to have a line that matches (extended)
#   talks PATTERN            $err has to
#   silent out|err           nothing may have been said there
#   json EXPRESSION          $out has to be one JSON document d, of schema 1, that makes the Python
#                            expression true
#   make DIR WORD...         make_node; fails the script if it fails
#   start DIR WORD...        the same in the background, until stop; for the words live and deaf
set -u
export LC_ALL=C
unset HOLDFAST_NODE
name=$(basename "$0" .sh)
txctl=$1 make_node=$2 source=$3
dir=$(mktemp -d) || exit 1
passed=0 failed=0 out= err= what= maker=

finish()
{
    local status=$?
    stop
    rm -rf "$dir"
    if [ "$status" = 0 ]; then
        echo "txctl $name: $passed passed, $failed failed"
        [ "$failed" = 0 ] && [ "$passed" -gt 0 ] || status=1
    fi
    exit "$status"
}
trap finish EXIT

ok() { passed=$((passed + 1)); }
bad()
{
    failed=$((failed + 1))
    echo "txctl $name: $what: $1"
    [ -z "$out" ] || sed 's/^/    stdout: /' <<<"$out"
    [ -z "$err" ] || sed 's/^/    stderr: /' <<<"$err"
}

check() # check TEXT COMMAND...: the command has to succeed
{
    local text=$1
    shift
    if "$@"; then ok; else bad "$text"; fi
}

run()
{
    local want=$1 code
    shift
    what="txctl $*"
    "$txctl" "$@" >"$dir/out" 2>"$dir/err" </dev/null
    code=$?
    out=$(<"$dir/out")
    err=$(<"$dir/err")
    check "exit code $code, not $want" [ "$code" = "$want" ]
}

says() { check "stdout has no line like: $1" grep -qE -- "$1" "$dir/out"; }
talks() { check "stderr has no line like: $1" grep -qE -- "$1" "$dir/err"; }
silent() { check "std$1 is not empty" [ ! -s "$dir/$1" ]; }

json()
{
    check "not so: $1" python3 - "$dir/out" "$1" <<'END'
import json
import sys
with open(sys.argv[1], encoding="utf-8") as file:
    d = json.load(file)
sys.exit(0 if d["schema"] == 1 and eval(sys.argv[2]) else 1)
END
}

make()
{
    "$make_node" "$@" >"$dir/made" || {
        echo "txctl $name: cannot make a node: $*"
        exit 1
    }
}

# The XID that make printed for a word.
xid() { sed -n "s/^$1 //p" "$dir/made" | head -1; }

start()
{
    mkfifo "$dir/hold"
    "$make_node" "$@" <"$dir/hold" >"$dir/made" &
    maker=$!
    exec 9>"$dir/hold"
    for ((i = 0; i < 1200; i++)); do
        grep -q '^live$' "$dir/made" && return
        sleep 0.05
    done
    echo "txctl $name: $* does not come up"
    exit 1
}

stop() # its stdin ends, and it dies
{
    [ -n "$maker" ] || return 0
    exec 9>&-
    wait "$maker"
    maker=
    rm -f "$dir/hold"
}
