#!/bin/bash
# canary.sh PROGRAM - the canary (tests/unit/canary.c) fails, in the way it has to.
#
# A crash, a missing program and a suite without assertions prove nothing, so all is looked at: exit
# status, number of tests that passed and failed, text of the failures.
set -u
program=$1
out=$(CMOCKA_MESSAGE_OUTPUT=STDOUT "$program" 2>&1)
status=$?
failed=0

want() # want WHAT COMMAND...
{
    local what=$1
    shift
    if ! "$@"; then
        failed=1
        echo "canary: wanted $what"
    fi
}

want "exit status 2, not $status" [ "$status" = 2 ]
for line in \
    '[  PASSED  ] 1 test(s).' \
    '[  FAILED  ] 2 test(s), listed below:' \
    '[  FAILED  ] canary__fails_where_ok_was_wanted' \
    '[  FAILED  ] canary__fails_where_an_error_was_wanted' \
    'returned EBUSY, wanted OK' \
    'returned OK, wanted EFULL'; do
    want "$line" grep -qF -- "$line" <<<"$out"
done

if [ "$failed" != 0 ]; then
    printf '%s\n' "$out"
    exit 1
fi
echo "canary: 1 passed, 2 failed, as it has to be"
