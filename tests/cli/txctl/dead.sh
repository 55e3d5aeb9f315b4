#!/bin/bash
# dead.sh TXCTL MAKE_NODE SOURCE_DIR - a node that nobody has open, with work that was left behind.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_NODE=$dir/node

# Nothing to do.
make "$HOLDFAST_NODE" close
run 0 status
silent err
says '^identity +[0-9a-f]{32}$'
says '^format +1, LMDB'
says '^incarnations +1 given out, 0 alive$'
says '^transactions +0 in doubt, 0 heuristic, 0 in progress, 0 finished; 0 unconfirmed$'
says '^alarms +none$'
says '^processes: none$'
says '^1 +kv-a +0 +-$'
run 0 status --json
json 'd["attention"] is False and d["processes"] == [] and d["node"]["alive"] == 0'
json 'd["node"]["path"].endswith("/node") and "requests" not in d'
run 0 tx list
says '^transactions: none$'
run 0 tx list --json
json 'd == {"schema": 1, "attention": False, "transactions": []}'

# Finished in the log, and in the history: no reason to call anybody.
make "$HOLDFAST_NODE" 'done' finished
finished=$(xid finished)
run 0 status
says '^transactions +0 in doubt, 0 heuristic, 0 in progress, 1 finished; 0 unconfirmed$'
says '^2 +[0-9]+ +died, not recovered yet '
run 0 tx list
says "^$(xid 'done') +committed +[0-9]+s +0 of 2 +2 +finished$"
check 'shows the history' [ "$(wc -l <"$dir/out")" = 2 ]
run 0 tx list --history
says "^$finished +committed +[0-9]+s +0 of 0 +2 +finished, by recovery$"
run 0 tx list --history --json
json '[t["in_history"] for t in d["transactions"]] == [False, True]'

# In doubt.
make "$HOLDFAST_NODE" owed unconfirmed
owed=$(xid owed) unconfirmed=$(xid unconfirmed)
run 4 status
silent err
says '^transactions +2 in doubt, 0 heuristic, 0 in progress, 1 finished; 1 unconfirmed$'
says '^1 +kv-a +2 +20[0-9-]+ [0-9:]+ UTC \([0-9]+s ago\)$'
says '^2 +kv-b +0 +-$'
run 4 status --json
json 'd["attention"] is True and d["transactions"]["in_doubt"] == 2'
json '[(r["name"], r["owed"]) for r in d["resource_managers"]] == [("kv-a", 2), ("kv-b", 0)]'
json 'd["resource_managers"][0]["owed_since_ms"] > 0'
json 'len(d["resource_managers"][0]["identity"]) == 64'
json 'd["resource_managers"][1]["identity"] is None'
run 4 tx list
says "^$owed +committed +[0-9]+s +1 of 2 +3 +in doubt$"
says "^$unconfirmed +committed +[0-9]+s +1 of 2 +3 +in doubt, unconfirmed$"
run 4 tx list --json
json '[t["state"] for t in d["transactions"]] == ["finished", "in doubt", "in doubt"]'

# One transaction: whole, with a branch, from its beginning; none; several; only in the history.
for text in "$unconfirmed" "$unconfirmed/00000001-00000001"; do
    run 0 tx show "$text"
    silent err
    says "^transaction +$unconfirmed$"
    says '^outcome +committed$'
    says '^state +in doubt, unconfirmed$'
    says '^written by +incarnation 3, gone$'
    says '^00000001-00000001 +kv-a +unconfirmed +XAER_NOTA \(-4\)$'
    says '^00000002-00000002 +kv-b +done +XA_OK \(0\)$'
done
run 0 tx show "${unconfirmed%?}2"
run 2 tx show "${owed%?}" # the last digit is where they differ
talks '2 transactions begin like this'
silent out
run 2 tx show "${owed%%-*}"
talks '4 transactions begin like this'
run 0 tx show "$finished"
says '^found in +the history$'
says '^branches: none$'
run 3 tx show "${finished%?}f"
talks 'does not mean that it was rolled back'
silent out
run 0 tx show "$owed" --json
json 'd["transaction"]["branches"][0] == {"rm_id": 1, "rm": "kv-a", "number": 1, "state": "owed",
    "code": 4, "code_name": "XA_RETRY"}'
json 'd["transaction"]["written_by"] == 3 and d["transaction"]["writer_alive"] is False'

# A heuristic branch, and a log that went back in time.
make "$dir/other" heuristic close
run 4 status -n "$dir/other"
says '^transactions +0 in doubt, 1 heuristic, '
run 4 tx list -n "$dir/other"
says "^$(xid heuristic) +mixed +[0-9]+s +0 of 2 +1 +heuristic$"
run 0 tx show "$(xid heuristic)" -n "$dir/other"
says '^00000001-00000001 +kv-a +heuristic rollback +XA_HEURRB \(6\)$'
make "$dir/old" back-in-time close
run 4 status -n "$dir/old"
says '^alarms +the log went back in time'
run 4 status -n "$dir/old" --json
json 'd["node"]["back_in_time"] is True and d["attention"] is True'
run 0 tx list -n "$dir/old"

# Nobody can recover it, and nothing is written.
sum=$(sha256sum "$HOLDFAST_NODE/decisions.mdb")
run 5 recover --reason 'at three in the morning'
silent out
talks 'nobody has .*/node open.*start the server; nothing was written'
what='txctl recover'
check 'the log was written' [ "$sum" = "$(sha256sum "$HOLDFAST_NODE/decisions.mdb")" ]
run 4 status --requests
says '^requests: none$'

run 0 log verify
says '^good: [0-9]+ records in the decision log, 3 of them transactions; 1 finished trans'
run 0 log verify --json
json 'd["good"] is True and d["error"] is None and d["transactions"] == 3 and d["finished"] == 1'

# Nothing was held, nothing was changed: the node opens as before.
make "$HOLDFAST_NODE" close
run 4 status
says '^incarnations +4 given out, 0 alive$'
