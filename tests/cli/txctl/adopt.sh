#!/bin/bash
# adopt.sh TXCTL MAKE_NODE SOURCE_DIR - a node that was moved, copied, or only looks so.
. "$(dirname "$0")/lib.sh"

make "$dir/original" owed
owed=$(xid owed)
identity=$("$txctl" -n "$dir/original" status | sed -n 's/^identity *//p')
cp -r "$dir/original" "$dir/moved"
cp -r "$dir/original" "$dir/copied"

# It is said before anything is done.
run 4 status -n "$dir/moved"
says '^alarms +.*/moved: moved or copied: it has another inode than when it was used last'
run 4 status -n "$dir/moved" --json
json 'd["attention"] is True and "inode" in d["node"]["moved"]'
json 'd["node"]["copied_from"] is None'
run 4 status -n "$dir/original" --json
json 'd["node"]["moved"] is None'
what='the server'
refusals=$("$make_node" "$dir/moved" close 2>&1 | grep -c inode)
check 'opens a node that was moved' [ "$refusals" = 1 ]

# What is not said plainly is not done.
run 2 log adopt -n "$dir/moved"
run 2 log adopt -n "$dir/moved" --moved --copied --yes
run 3 log adopt -n "$dir/none" --moved --yes
sum=$(sha256sum "$dir/moved/decisions.mdb" "$dir/moved/incarnations")
for how in --moved --copied; do
    run 5 log adopt -n "$dir/moved" "$how"
    says '^place +.*another inode'
    says '^unfinished +1 transactions'
    says "^identity +$identity$"
    talks 'nothing was written: say --yes'
done
what='log adopt without --yes'
check 'wrote' [ "$sum" = "$(sha256sum "$dir/moved/decisions.mdb" "$dir/moved/incarnations")" ]

# Moved: the identity, and what is unfinished, stay.
run 0 log adopt -n "$dir/moved" --moved --yes --reason 'the old disk is gone'
says "^done +the identity is $identity$"
run 4 tx list -n "$dir/moved"
says "^$owed +committed .* in doubt$"
run 4 status -n "$dir/moved" --requests
says '^alarms +none$'
says "^1 +adopt --moved +$(id -u) +20.* by txctl +the old disk is gone$"
run 0 log verify -n "$dir/moved"
make "$dir/moved" close

# Copied: another identity, nothing in doubt here, and the original's is kept as the original's.
run 0 log adopt -n "$dir/copied" --copied --yes
says '^done +the identity is [0-9a-f]{32}$'
check 'it is the same identity' [ "$(grep -c "$identity" "$dir/out")" = 1 ] # as it was, above
run 0 status -n "$dir/copied" --requests
says "^copied from +$identity$"
says '^transactions +0 in doubt, '
says '^processes: none$'
says '^1 +adopt --copied '
run 0 tx list -n "$dir/copied"
says '^transactions: none$'
run 0 tx list -n "$dir/copied" --history
says "^$owed +committed +[0-9]+s +1 of 2 +1 +left to the original$"
run 0 tx show "$owed" -n "$dir/copied"
says '^state +left to the original$'
says '^00000001-00000001 +kv-a +owed '
run 0 log verify -n "$dir/copied"
says ' 0 of them transactions and 1 left to the original of this copy; 0 finished transactions '
run 0 log verify -n "$dir/copied" --json
json 'd["good"] is True and d["transactions"] == 0 and d["left"] == 1 and d["finished"] == 0'
make "$dir/copied" close
run 0 log verify -n "$dir/copied"

# Not while somebody has it open.
start "$dir/original" live
run 5 log adopt -n "$dir/original" --moved --yes
talks 'open in process'
run 5 log adopt -n "$dir/original" --copied --yes
talks 'open in process.*\(EOWNED\)'
stop

# Not a damaged one.
python3 - "$dir/original/decisions.mdb" <<'END'
import sys
with open(sys.argv[1], "rb+") as file:
    b = file.read().replace(b"kv-a", b"kw-a")
    file.seek(0)
    file.write(b)
END
run 1 log adopt -n "$dir/original" --moved --yes
talks 'wrong checksum.*\(EDAMAGED\)'
