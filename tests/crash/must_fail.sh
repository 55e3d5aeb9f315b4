#!/usr/bin/env bash
# must_fail.sh WORDS COMMAND...: the command has to fail, with exit status 1 or the number of its
# failed cases, and to say WORDS. Exit status 77: it was skipped, and says why. What it says is
# quoted: its failed cases are not ours.
set -u
words=$1
shift
out=$("$@" 2>&1)
status=$?
printf '%s\n' "$out" | sed 's/^/| /'
[ "$status" -ne 77 ] || exit 77
if [ "$status" -lt 1 ] || [ "$status" -gt 50 ]; then
    echo "must_fail: exit status $status: the planted bug was not caught"
    exit 1
fi
if ! grep -qF -- "$words" <<<"$out"; then
    echo "must_fail: it failed, but not with: $words"
    exit 1
fi
echo "must_fail: caught"
