#!/bin/bash
# server.sh TXCTL SERVER SOURCE_DIR - a real server (server.c): killed in its commit, started again,
# asked to recover, stopped by a signal, closed.
. "$(dirname "$0")/lib.sh"
server=$make_node # start and make run it; here a word is live or die
export HOLDFAST_NODE=$dir/node

{ "$server" "$dir" die >"$dir/made" 2>"$dir/err" </dev/null; } 2>/dev/null # bash says "Killed"
code=$?
killed=$(xid xid)
what='the server that is killed in its commit' out=$(<"$dir/made") err=$(<"$dir/err")
check "exit code $code, not 137" [ $code = 137 ]

# Decided, and the stores have not been told, or have not answered: in doubt.
run 4 status
says '^incarnations +1 given out, 0 alive$'
says '^transactions +1 in doubt, 0 heuristic, 0 in progress, '
says '^1 +[0-9]+ +died, not recovered yet '
says '^[12] +west +1 +20'
run 4 tx list
says "^$killed +committed +.* 1 +in doubt$"
run 0 tx show "$killed"
says '^written by +incarnation 1, gone$'
says '^0000000[12]-[0-9a-f]{8} +west +owed '
run 0 log verify
says '^good: .* 1 of them transactions'

# The server comes back, and its recovery pays. Its removals ride in a later batch.
start "$dir" live
for ((i = 0; i < 1200; i++)); do
    "$txctl" status >/dev/null && break
    sleep 0.05
done
run 0 status
says '^incarnations +2 given out, 1 alive$'
says "^2 +$maker +alive "
says '^[12] +west +0 +-$'
run 0 recover --reason 'to be sure'
says '^request 1: done by incarnation 2$'
run 0 status --requests
says ' by incarnation 2 +to be sure$'
run 0 log verify

# A stopped process still has the node open; txctl neither waits for it nor takes it for dead.
kill -STOP "$maker"
run 0 status
says "^2 +$maker +alive "
run 1 recover --wait 1
talks 'was not taken up within 1 s'
kill -CONT "$maker"
run 0 recover --wait 60

stop
run 0 status
says '^incarnations +2 given out, 0 alive$'
says '^processes: none$'
says '^transactions +0 in doubt, 0 heuristic, 0 in progress, '
run 5 recover

# The history tells the story of the one that was killed: nothing of its owner's, all of recovery's.
run 0 tx why "$killed"
silent err
says '^begun by +incarnation 1, gone$'
says '^outcome +committed$'
says '^finished by +recovery, incarnation 2, in [0-9.]+ (us|ms|s)$'
says '^kept because +recovered$'
time='[0-9.]+ (us|ms|s)'
says "^\\+$time +$time +recovery 2 +west 0000000[12]-0000000[12] +xa_commit +XA_OK \\(0\\)$"
run 0 tx why "$killed" --json
json 'd["transaction"]["spans"][0]["by"] == "recovery"'
json 'd["transaction"]["spans"][0]["incarnation"] == 2'
json 'd["transaction"]["spans"][0]["kept"] == ["recovered"]'
json '"xa_commit" in [c["call"] for c in d["transaction"]["spans"][0]["calls"]]'
run 3 tx why 00000000000000000000000000000000-00000001-0000000000000001
run 2 tx why
