#!/bin/bash
# damage.sh TXCTL MAKE_NODE SOURCE_DIR - damaged nodes: each is found, named, and survived.
. "$(dirname "$0")/lib.sh"

make "$dir/good" owed heuristic finished close
run 4 tx list -n "$dir/good"
listed=$out

damage() # damage FILE PYTHON: a copy of the good node as $dir/bad, and b, the bytes of its FILE
{
    rm -rf "$dir/bad"
    cp -r "$dir/good" "$dir/bad"
    python3 - "$dir/bad/$1" "$2" <<'END' || exit 1
import random
import sys
with open(sys.argv[1], "rb") as file:
    b = bytearray(file.read())
exec(sys.argv[2])
with open(sys.argv[1], "wb") as file:
    file.write(b)
END
}

found() # found PATTERN: log verify finds it and says why; so do the readers, or it is not theirs
{
    run 1 log verify -n "$dir/bad"
    silent out
    talks "^txctl: log verify: $dir/bad: damaged: .*$1"
    run 1 log verify -n "$dir/bad" --json
    json 'd["good"] is False and d["error"] == "EDAMAGED" and d["text"] != ""'
}

# A byte of a record's payload: kv-a becomes kw-a.
damage decisions.mdb 'b[:] = b.replace(b"kv-a", b"kw-a")'
found 'wrong checksum'
for verb in status 'tx list' 'tx show 0'; do
    read -ra words <<<"$verb"
    run 1 "${words[@]}" -n "$dir/bad"
    silent out
    talks "^txctl: cannot read .*$dir/bad: .*wrong checksum.*\\(EDAMAGED\\)"
done

damage decisions.mdb 'del b[8192:]'
found 'truncated'
damage decisions.mdb 'b[:] = b"\0" * len(b)'
found '.'
damage incarnations 'del b[:]'
found 'the lock file was removed or emptied'
damage incarnations 'b[20] ^= 1'
found 'the lock file is of another store'

# The history is a guest: the log is read all the same.
damage history.mdb 'del b[100:]'
found 'history.mdb'
run 4 status -n "$dir/bad"
run 4 tx list -n "$dir/bad"
run 1 tx list --history -n "$dir/bad"
silent out
talks 'cannot read the history of'
rm "$dir/bad/history.mdb"
run 0 log verify -n "$dir/bad"

# A newer format is refused by name: the head's format number, and its checksum is not looked at
# before LMDB's own version, which stands in both meta pages behind the magic.
damage decisions.mdb 'b[20] = b[4096 + 20] = 9'
run 5 status -n "$dir/bad"
talks '\(ENEWER\)'

# What would kill the process that reads it: a page size of 0 in the newer one of LMDB's meta pages.
damage decisions.mdb 'newer = 4096 * (b[144:152] < b[4240:4248])
b[newer + 40:newer + 44] = bytes(4)'
found 'no possible page size'
for verb in status 'tx list' 'tx show 0' recover; do
    read -ra words <<<"$verb"
    run 1 "${words[@]}" -n "$dir/bad"
    silent out
    talks "^txctl: cannot open the node $dir/bad: .*no possible page size"
done

# While another process has the node open nobody looks at the file before LMDB does: it may be
# writing. Then it does kill.
mkfifo "$dir/held" "$dir/release" || exit 1
python3 -c 'import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX, 1, 5)
print("held", flush=True)
sys.stdin.read()' "$dir/bad/incarnations" <"$dir/release" >"$dir/held" &
holder=$! # no coprocess: bash forgets all of one that it takes for ended
exec 8>"$dir/release"
word=
read -r word <"$dir/held"
found 'reading it (crashed|ended without an answer)'
for verb in status 'tx list' 'tx show 0' recover; do
    read -ra words <<<"$verb"
    run 1 "${words[@]}" -n "$dir/bad"
    silent out
    talks "^txctl: reading the node $dir/bad crashed: .*txctl log verify"
done
exec 8>&- # and so it ends, in good order
wait "$holder"
code=$? what="the lock's holder" out=$word err=
check "it ended with status $code, and said '$word'" [ "$code:$word" = 0:held ]

# Whatever is changed wherever: it is survived, and where verify finds nothing, nothing is wrong.
bitten=0 seeds=${HOLDFAST_DAMAGE_SEEDS:-40}
for ((seed = 1; seed <= seeds; seed++)); do
    damage decisions.mdb "
random.seed($seed)
n = random.choice((1, 4, 64, 256))
newer = 4096 * (b[144:152] < b[4240:4248])
root = int.from_bytes(b[newer + 128:newer + 136], 'little')
at = random.choice((random.randrange(0, 9 * 4096), random.randrange(0, 9) * 4096 +
                    random.randrange(0, 60), root * 4096 + 4096 - random.randrange(1, 700)))
b[at:at + n] = random.choice((random.randbytes(n), b'\xff' * n, b'\0' * n))"
    for verb in 'log verify' 'tx list'; do
        read -ra words <<<"$verb"
        what="seed $seed: txctl $verb"
        "$txctl" "${words[@]}" -n "$dir/bad" >"$dir/out" 2>"$dir/err" </dev/null
        code=$?
        out=$(<"$dir/out") err=$(<"$dir/err")
        check "exit code $code" [ $code -lt 6 ]
        [ $code = 0 ] || [ $code = 4 ] || check 'says nothing' [ -s "$dir/err" ]
        case $verb:$code in
        'log verify:0') good=1 ;;
        'log verify:'*) good=0 bitten=$((bitten + 1)) ;;
        'tx list:4')
            [ $good = 0 ] || check 'verify says good, and it is not what was there' \
                [ "$(cut -c1-69 <<<"$out")" = "$(cut -c1-69 <<<"$listed")" ]
            ;;
        *) check 'verify says good, and it cannot be read' [ $good = 0 ] ;;
        esac
    done
done
what="$seeds seeds" out= err=
check "only $bitten of them did any damage" [ "$bitten" -ge 5 ]
echo "txctl damage: $seeds seeds, $bitten of them found"
