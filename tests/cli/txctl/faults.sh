#!/bin/bash
# faults.sh TXCTL_FAULTY MAKE_NODE SOURCE_DIR TXCTL - HOLDFAST_FAULTS: txctl dies in the middle of
# what it changes, or its disk fails, and the node is whole.
. "$(dirname "$0")/lib.sh"
plain=$4

# A list that it cannot read is not passed over. The tool as it is delivered knows of none.
export HOLDFAST_FAULTS='adopt:nowhere=kill'
run 2 version
talks 'HOLDFAST_FAULTS cannot be read: adopt:nowhere=kill'
"$plain" version >"$dir/out" 2>"$dir/err"
check 'the delivered tool reads HOLDFAST_FAULTS' [ $? = 0 ]
unset HOLDFAST_FAULTS

make "$dir/original" owed
identity=$("$txctl" -n "$dir/original" status | sed -n 's/^identity *//p')

# Killed before and after it is stored: the other half is done by the next one.
for how in --moved --copied; do
    for point in adopt:alone adopt:stored store:before-commit; do
        rm -rf "$dir/there"
        cp -r "$dir/original" "$dir/there"
        export HOLDFAST_FAULTS="$point=kill@1"
        run 137 log adopt -n "$dir/there" "$how" --yes
        unset HOLDFAST_FAULTS
        run 0 log verify -n "$dir/there"
        if [ "$point" != adopt:stored ]; then
            run 4 status -n "$dir/there"
            says '^alarms +.*moved or copied'
            run 0 log adopt -n "$dir/there" "$how" --yes
        fi
        "$plain" -n "$dir/there" status >"$dir/out"
        check 'still moved or copied' [ "$(grep -c 'moved or copied' "$dir/out")" = 0 ]
        now=$(sed -n 's/^identity *//p' "$dir/out")
        if [ "$how" = --moved ]; then
            check 'lost its identity' [ "$now" = "$identity" ]
        else
            check 'has the identity of the original' [ "$now" != "$identity" ]
        fi
    done
done

# A commit that fails is said, and has done nothing.
rm -rf "$dir/there"
cp -r "$dir/original" "$dir/there"
export HOLDFAST_FAULTS='store:commit-fails=fail@1'
run 1 log adopt -n "$dir/there" --moved --yes
unset HOLDFAST_FAULTS
run 0 log verify -n "$dir/there"
run 4 status -n "$dir/there"
says '^alarms +.*moved or copied'
