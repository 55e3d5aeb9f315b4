#!/bin/bash
# bench.sh HF_BENCH postgres|mixed - a short run of it, judged by what must hold on any machine.
#
# It starts its own two servers. Asked for are the shape, numbers that fit each other, a log commit
# for a transaction of ours and none for one by hand, the messages that the README promises, and
# nothing left behind: also when it is stopped in the middle.
set -u
export LC_ALL=C
bench=$1 measure=$2
case $measure in
postgres) messages='{"holdfast": 6, "native": 8}' trips='{"holdfast": 4, "native": 6}' ;;
*) messages='{"holdfast": 7, "native": 8}' trips='{"holdfast": 5, "native": 6}' ;;
esac
dir=$(mktemp -d /tmp/hf-bench-test.XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir" && mkdir "$dir/work" && cd "$dir/work" || exit 1
passed=0 failed=0

check() # check TEXT COMMAND...: the command has to succeed
{
    local text=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "bench: $text"
        cat "$dir/out" "$dir/err"
    fi
}

json() # json EXPRESSION: stdout is one document d, and it is so
{
    check "not so: $1" python3 -c \
        "import json, sys; d = json.load(open('$dir/out')); sys.exit(not ($1))"
}

"$bench" "$measure" --threads 1,2 --count 20 --warmup 2 --rounds 1 --json >"$dir/out" 2>"$dir/err"
code=$?
check "exit code $code" [ "$code" = 0 ]
check 'something was left behind' [ -z "$(ls -A .)" ]
json "d['measure'] == '$measure'"
json '[(r["threads"], r["side"], r["baseline"]) for r in d["rows"]] == [(n, s, b) for n in (1, 2)
    for s, b in (("holdfast", "by-hand"), ("native", "by-hand"), ("holdfast", "unsafe"))]'
json 'all(r["ratio"] > 0 and r["baseline_per_s"] > 0 for r in d["rows"])'
json 'all(0.4 < r["log_commits_per_tx"] <= 1.2 for r in d["rows"])'
json 'all(r["switches_per_tx"] > 0 for r in d["rows"])'
json "all($messages[r['side']] <= r['where']['messages'] < $messages[r['side']] + 1 and
    $trips[r['side']] <= r['where']['round_trips'] < $trips[r['side']] + 1 for r in d['rows'])"
json 'all(min(v for k, v in r["where"].items()) > 0 for r in d["rows"])'
json 'all(r["baseline_where"]["decide_us"] == 0 and r["baseline_where"]["commit_us"] > 0
    for r in d["rows"])'

for arguments in "$measure --server x" 'commit --server x --server y' "$measure extra" \
    "$measure --server x --server y --server z"; do
    read -ra words <<<"$arguments"
    "$bench" "${words[@]}" >"$dir/out" 2>"$dir/err"
    code=$?
    check "$arguments: exit code $code, not 2" [ "$code" = 2 ]
done
"$bench" "$measure" --server host=/nonexistent --server host=/nonexistent --threads 1 --count 1 \
    >"$dir/out" 2>"$dir/err"
code=$?
check "no such server: exit code $code, not 1" [ "$code" = 1 ]
check 'it does not say why' grep -q 'hf-bench: .*No such file' "$dir/err"

"$bench" "$measure" --threads 1 --seconds 60 --rounds 1 >"$dir/out" 2>"$dir/err" &
for ((i = 0; i < 600; i++)); do
    [ -e "$(echo hf-bench.*/node/decisions.mdb)" ] && break
    sleep 0.05
done
kill -TERM $!
wait $!
code=$?
check "stopped: exit code $code, not 1" [ "$code" = 1 ]
check 'stopped: something was left behind' [ -z "$(ls -A .)" ]

echo "bench: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
