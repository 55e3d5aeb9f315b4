#!/bin/bash
# forget.sh TXCTL MAKE_NODE SOURCE_DIR - what an operator may have forgotten, and what stays of it.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_NODE=$dir/node

make "$HOLDFAST_NODE" owed unconfirmed heuristic 'done'
heuristic=$(xid heuristic)

# Whole identifiers, of transactions that the log has.
run 2 tx forget
run 2 tx forget "${heuristic%?}"
talks 'not a whole transaction identifier'
run 2 tx forget nonsense
run 3 tx forget "${heuristic%?}f" --yes
silent out
run 2 tx forget "$heuristic" --json

# What is owed or unconfirmed is recovery's; and so is what is only not removed yet.
for word in owed unconfirmed; do
    run 5 tx forget "$(xid $word)" --yes
    says "^00000001-00000001 +kv-a +$word "
    talks 'are still owed: start the server, .* nothing was written$'
done
run 5 tx forget "$(xid 'done')" --yes
talks 'no branch of it decided by itself.* nothing was written$'

# It is shown first, and nothing is written without --yes.
run 5 tx forget "$heuristic" --reason 'only looking'
says "^transaction +$heuristic$"
says '^outcome +mixed$'
says '^state +heuristic'
says '^00000001-00000001 +kv-a +heuristic rollback +XA_HEURRB \(6\)$'
says '^00000002-00000002 +kv-b +done '
talks 'nothing was written: say --yes, too'
run 4 status --requests
says ' 1 heuristic, '
says '^requests: none$'

# Nobody has the node open: txctl does it.
run 0 tx forget "$heuristic/00000001-00000001" --yes --reason 'paid back by hand, ticket 4711'
silent err
says '^request 1: done by txctl$'
run 4 status --requests
says ' 0 heuristic, '
says "^1 +tx forget +$(id -u) +20.* by txctl +paid back by hand, ticket 4711$"
run 4 status --requests --json
json 'd["requests"][0]["verb"] == "tx forget" and d["requests"][0]["result"] == "OK"'
json "d['requests'][0]['xid'] == '$heuristic'"
run 4 tx list
check 'it is listed still' [ -z "$(grep "$heuristic" "$dir/out")" ]
run 0 tx why "$heuristic"
says '^found in +the history$'
says '^outcome +mixed$'
says '^forgotten +20.* UTC \([0-9]+s ago\)$'
says "^by +uid $(id -u): paid back by hand, ticket 4711$"
run 0 tx why "$heuristic" --json
json 'd["transaction"]["spans"][-1]["kept"] == ["forced"]'
json 'd["transaction"]["spans"][-1]["by"] == "operator"'
run 3 tx forget "$heuristic" --yes
talks 'not in the decision log of .* any more'
run 0 log verify

# A process has it open: it is asked, and does it.
start "$dir/live" heuristic live
heuristic=$(xid heuristic)
run 4 status -n "$dir/live"
run 0 tx forget -n "$dir/live" "$heuristic" --yes --reason 'by request'
says '^request 1: done by incarnation 1$'
run 0 status -n "$dir/live" --requests
says '^1 +tx forget .* by incarnation 1 +by request$'
run 0 tx why -n "$dir/live" "$heuristic"
says "^by +uid $(id -u): by request$"
run 0 log verify -n "$dir/live"
stop

# One that looks at no request: it stays asked, and listed.
start "$dir/deaf" heuristic deaf
heuristic=$(xid heuristic)
run 1 tx forget -n "$dir/deaf" "$heuristic" --yes --wait 1
talks 'tx forget: request 1 .* was not taken up within 1 s; it stays asked'
run 0 tx forget -n "$dir/deaf" "$heuristic" --yes --wait 0
says '^request 2: asked$'
run 4 status -n "$dir/deaf" --requests --json
json '[q["done"] for q in d["requests"]] == [False, False]'
json '[q["result"] for q in d["requests"]] == [None, None]'
stop
