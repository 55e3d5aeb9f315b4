#!/bin/bash
# man.sh TXCTL MAKE_NODE SOURCE_DIR - the man page has the verbs, options and exit codes of txctl.
. "$(dirname "$0")/lib.sh"
page=$source/tools/man/txctl.1

same() # same WHAT A B
{
    what=$1
    check "txctl help has: $(xargs <<<"$2"); the man page has: $(xargs <<<"$3")" [ "$2" = "$3" ]
    check 'there are none' [ -n "$2" ]
}

run 0 help
out=
same verbs "$(sed -n '/^verbs:/,/^$/s/^  \([a-z]\+\( [a-z]\+\)\?\).*/\1/p' "$dir/out" | sort)" \
    "$(sed -n 's/^\.It Ic \([a-z]\+\( [a-z]\+\)\?\).*/\1/p' "$page" | sort)"
same options "$(sed -n 's/^  --\([a-z]\+\) .*/\1/p' "$dir/out" | sort)" \
    "$(sed -n 's/^\.It .*Fl -\([a-z]\+\).*/\1/p' "$page" | sort)"
same 'exit codes' "$(sed -n 's/^exit: //p' "$dir/out" | tr ',' '\n' | awk '{ print $1 }')" \
    "$(sed -n 's/^\.It \([0-9]\)$/\1/p' "$page")"
# The summaries, too.
for verb in 'tx list' 'tx show' 'tx why' 'tx forget' 'log verify' 'log adopt' recover status \
    'config check'; do
    what="the man page on $verb" summary=$(sed -n "s/^  $verb\( XID\| FILE\)\?  *//p" "$dir/out")
    check "does not say: $summary" grep -qiF -- "$summary" <(tr -s '\n ' ' ' <"$page")
    check 'txctl help says nothing' [ -n "$summary" ]
done
