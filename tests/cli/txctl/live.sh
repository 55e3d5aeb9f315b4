#!/bin/bash
# live.sh TXCTL MAKE_NODE SOURCE_DIR - a node that a process has open, and what is asked of it.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_NODE=$dir/node

make "$HOLDFAST_NODE" owed
left=$(xid owed)
start "$HOLDFAST_NODE" owed unconfirmed live
owed=$(xid owed)
pid=$maker

# What it wrote itself is its work in progress; what a dead one left is in doubt.
run 4 status
says '^incarnations +2 given out, 1 alive$'
says '^transactions +1 in doubt, 0 heuristic, 2 in progress, 0 finished; 1 unconfirmed$'
says "^2 +$pid +alive "
run 4 status --json
json "[(p['incarnation'], p['alive']) for p in d['processes']] == [(1, False), (2, True)]"
json "d['processes'][1]['pid'] == $pid and d['node']['alive'] == 1"
json "[p['counted']['active'] for p in d['processes']] == [0, 0]"
check 'the page of the node' rm "$HOLDFAST_NODE/shared.page"
run 4 status
says "^2 +$pid +alive .* - +- +- +-$"
run 4 status --json
json "[p['counted'] for p in d['processes']] == [None, None]"
run 4 tx list
says "^$left .* 1 +in doubt$"
says "^$owed .* 2 +in progress$"
run 0 tx show "$owed"
says '^state +in progress$'
says '^written by +incarnation 2, alive$'
run 0 log verify
says '^good: '

# A request is taken up, and leaves a trail.
run 0 recover --reason 'at three in the morning'
says '^request 1: done by incarnation 2$'
run 0 recover --wait 0
says '^request 2: asked$'
run 4 status --requests
says "^1 +recover +$(id -u) +20.* UTC \\([0-9]+s ago\\) +by incarnation 2 +at three in the morning$"
says '^2 +recover '
run 4 status --requests --json
json 'd["requests"][0]["reason"] == "at three in the morning" and d["requests"][0]["done"] is True'
json "d['requests'][0]['uid'] == $(id -u) and d['requests'][0]['incarnation'] == 2"

# What a terminal might act on is not printed, and JSON takes any bytes.
run 0 recover --reason $'\e[2Jgone\n\xff'
run 4 status --requests
says '\?\[2Jgone\?\?$'
run 4 status --requests --json
json '"gone" in d["requests"][2]["reason"]'
run 0 recover --reason "$(printf 'long%.0s' {1..100})"
run 4 status --requests --json
json 'len(d["requests"][3]["reason"]) == 127'

# It dies: then it is in doubt, too, and nobody answers.
stop
run 4 status
says '^incarnations +2 given out, 0 alive$'
says '^transactions +3 in doubt, '
run 5 recover

# One that is alive and looks at no request.
start "$dir/deaf" deaf
run 1 recover -n "$dir/deaf" --wait 1
silent out
talks 'request 1 .*/deaf was not taken up within 1 s; it stays asked'
run 0 status -n "$dir/deaf" --requests
says '^1 +recover .* waiting '
run 0 status -n "$dir/deaf" --requests --json
json 'd["requests"][0]["done"] is False and d["requests"][0]["incarnation"] is None'
stop

# All of its own work in progress is no reason to call anybody.
start "$dir/busy" owed unconfirmed live
run 0 status -n "$dir/busy"
says ' 2 in progress, '
run 0 tx list -n "$dir/busy"
