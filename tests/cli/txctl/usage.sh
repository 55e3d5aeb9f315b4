#!/bin/bash
# usage.sh TXCTL MAKE_NODE SOURCE_DIR - the command line, and the exit codes of what is no node.
. "$(dirname "$0")/lib.sh"

for arguments in '' 'nonsense' 'tx' 'tx nonsense' 'status extra' 'tx list extra' 'tx show' \
    'tx show a b' 'log' 'help me' '--nonsense' '--node' 'status -n' 'status -x' 'status --json=1' \
    'status --history' 'tx list --requests' 'recover --json' 'help --json' 'status --wait 1' \
    'status --reason why' 'recover --wait' 'recover --wait x' 'recover --wait -1' \
    'recover --wait 1x' 'recover --wait 86401' 'recover --wait 99999999999999999999' \
    'tx show XYZ' 'tx show ABCDEF' 'tx show abc/def' "tx show $(printf '0%.0s' {1..99})"; do
    read -ra words <<<"$arguments"
    case $arguments in
    *node | *-n) run 2 "${words[@]}" ;;
    *) HOLDFAST_NODE=$dir/none run 2 "${words[@]}" ;;
    esac
    silent out
    talks '^txctl: .'
done

run 2 status
talks 'no node: give --node DIR, or set HOLDFAST_NODE'
HOLDFAST_NODE='' run 2 status
run 2 status --node ''
talks 'no node'

run 0 help
silent err
says '^  tx show XID '
run 0 --help
says '^  tx show XID '
run 0 version
says '^holdfast [0-9]+\.[0-9]+\.[0-9]+$'
says '^LMDB [0-9]+\.[0-9]+'

# What is no node. Nothing may be made of it.
mkdir "$dir/empty" "$dir/other" "$dir/open"
chmod 700 "$dir"/{empty,other,open}
touch "$dir/file" "$dir/other/file"
ln -s "$dir/open" "$dir/link"
make "$dir/open/node" close
cp -r "$dir/open/node" "$dir/wide"
chmod 755 "$dir/wide"
cp -r "$dir/open/node" "$dir/shared"
chmod 640 "$dir/shared/decisions.mdb"
ln -s "$dir/open/node" "$dir/node-link"
for verb in status 'tx list' 'tx show 00' 'log verify' recover; do
    read -ra words <<<"$verb"
    run 3 "${words[@]}" -n "$dir/none"
    talks "$dir/none.*No such file.*\\(ENOTFOUND\\)"
    for no_node in empty other file; do
        run 1 "${words[@]}" -n "$dir/$no_node"
        talks "$dir/$no_node.*\\(ENOTNODE\\)"
        silent out
    done
    for not_ours in wide shared node-link; do
        run 5 "${words[@]}" -n "$dir/$not_ours"
        talks "$dir/$not_ours.*\\(EOWNER\\)"
        silent out
    done
done
what='a directory that is no node'
check 'something was made in it' [ -z "$(ls "$dir/empty")" ]
check 'something was made in it' [ "$(ls "$dir/other")" = file ]

# The node: from the environment; an option beats it; before or after the verb.
HOLDFAST_NODE=$dir/open/node run 0 status
HOLDFAST_NODE=$dir/none run 0 status -n "$dir/open/node"
run 0 --node "$dir/open/node" tx list
run 0 tx --node="$dir/open/node" list
run 0 tx list --node "$dir/open/node"

# A full disk, or a reader that does not read.
if [ -c /dev/full ]; then
    what='txctl help >/dev/full' out=
    err=$("$txctl" help 2>&1 >/dev/full)
    check "exit code $?, not 1" [ $? = 1 ]
    check 'does not say why' grep -q 'cannot write' <<<"$err"
fi
