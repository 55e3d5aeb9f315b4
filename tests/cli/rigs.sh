#!/usr/bin/env bash
# rigs.sh SOURCE: the table of rigs counts what they said, and objects to whatever went wrong.
set -u
source=$1
dir=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-rigs-XXXXXX")
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/tree/tm"
echo 'if (HF_BUG("early")) return;' >"$dir/tree/tm/a.c"
passed=0 failed=0

report() # the test cases of a report, on standard input
{
    { echo '<testsuite>' && cat && echo '</testsuite>'; } >"$dir/report.xml"
}

one() # one NAME STATUS OUTPUT: a test case
{
    printf '<testcase name="%s" time="1.5" status="%s">' "$1" "$2"
    [ "$2" != notrun ] || printf '<skipped message="77"/>'
    printf '<system-out>%s</system-out></testcase>\n' "$3"
}

expect() # expect WHAT STATUS WORDS [OPTION...]
{
    local what=$1 status=$2 words=$3 out
    shift 3
    out=$("$source/tools/lint/cases" --rigs "$@" "$dir/report.xml" 2>&1)
    if [ $? -eq "$status" ] && grep -qE -- "$words" <<<"$out"; then
        passed=$((passed + 1))
        return
    fi
    failed=$((failed + 1))
    printf 'rigs: %s: not %s with: %s\n%s\n' "$what" "$status" "$words" "$out"
}

good()
{
    one crash.x run 'x: rig: 7 kills, 0 violations'
    one crash.x run 'rig: 5 kills, 0 violations'
}
{ good; one crash.x.catches.early run 'caught'; } | report
expect "sums" 0 '^crash\.x +12 +0 +4\.5 +1 of 1  kills$' --all-bugs "$dir/tree"
expect "says how fast" 0 '^early +crash\.x \(1\.50\)$'
{ good; one crash.x.catches.early fail 'no'; } | report
expect "a bug that was not caught" 1 '^rigs: early: not caught by crash\.x$'
good | report
expect "a bug that nobody looked for" 1 '^rigs: early: no rig' --all-bugs "$dir/tree"
one crash.x.catches.early run 'caught' | report
expect "a rig that did not run" 1 '^rigs: crash\.x: it has bugs to catch, but did not run$'
one crash.x run 'rig: 7 kills, 2 violations' | report
expect "violations" 1 '^rigs: crash\.x: 2 violations$'
one crash.x fail 'Segmentation fault' | report
expect "a rig that died" 1 '^rigs: crash\.x: 1 violations$'
{ good; one crash.y notrun 'y: skipped: ext4: only root can'; } | report
expect "what was skipped" 0 '^crash\.y .*SKIPPED: ext4: only root can$'
one crash.x run 'rig: 0 kills, 0 violations' | report
expect "a rig that did nothing" 1 '^rigs: crash\.x: it did nothing$'
{ good; one crash.x.catches.early notrun 'x: skipped: there is no gdb'; } | report
expect "its only rig was skipped" 1 '^rigs: early: all rigs that look' --all-bugs "$dir/tree"
expect "so it is said in a quick run" 0 '^early +SKIPPED: no rig that looks for it has run$'
{ good; one crash.x.catches.early notrun 'x: skipped: ext4: only root can'; } | report
expect "a bug that only root can look for" 0 '^early +SKIPPED: no rig' --all-bugs "$dir/tree"
expect "and why" 0 '^early +crash\.x \(1\.50, SKIPPED: ext4: only root can\)$'
{ good; one crash.x.catches.early run ''; one crash.y.catches.early notrun 'y: skipped: no gdb'
    one crash.y run 'rig: 1 kills, 0 violations'; } | report
expect "a bug that another rig caught" 0 '^early +crash\.x \(1\.50\), ' --all-bugs "$dir/tree"
report </dev/null
expect "nothing" 1 '^rig '

counts() # counts WHAT COUNTS: of the report, as a step of tools/check has them
{
    local out
    out=$("$source/tools/lint/cases" "$dir/report.xml" 0)
    if [ "$out" = "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'rigs: %s: "%s", not "%s"\n' "$1" "$out" "$2"
    fi
}

{ one unit.x run '[       OK ] a'; one unit.x.catches.early run '[  FAILED  ] a'; } | report
counts "a case that had to fail" "2 0 0"
{ one unit.x run '[       OK ] a'; one unit.x.catches.early fail '[       OK ] a'; } | report
counts "a bug that was not caught is a failure" "1 1 0"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
