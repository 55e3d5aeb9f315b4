#!/bin/bash
# bench.sh HF_BENCH - short runs of hf-bench, judged by what must hold on any machine.
#
# No speed is asked for: that is what the bench is for, on a machine that does nothing else. What is
# asked for: the documented shape; numbers that fit each other; one log commit for a transaction of
# a lone thread and no more; the exit codes; nothing left behind, even by a run that is stopped.
set -u
export LC_ALL=C
bench=$1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/work"
cd "$dir/work" || exit 1
passed=0 failed=0 what=

check() # check TEXT COMMAND...: the command has to succeed
{
    local text=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "bench: $what: $text"
        sed 's/^/    stdout: /' "$dir/out"
        sed 's/^/    stderr: /' "$dir/err"
    fi
}

run() # run CODE ARGUMENT...
{
    local want=$1 code
    shift
    what="hf-bench $*"
    "$bench" "$@" >"$dir/out" 2>"$dir/err" </dev/null
    code=$?
    check "exit code $code, not $want" [ "$code" = "$want" ]
    check 'something was left behind' [ -z "$(ls -A .)" ]
}

json() # json EXPRESSION: stdout is one document d, and it is so
{
    check "not so: $1" python3 - "$dir/out" "$1" <<'END'
import json
import sys
with open(sys.argv[1], encoding="utf-8") as file:
    d = json.load(file)
sys.exit(0 if eval(sys.argv[2]) else 1)
END
}

says() { check "stdout has no line like: $1" grep -qE -- "$1" "$dir/out"; }

members='"threads tx_per_s baseline baseline_per_s ratio p50_us p99_us p999_us log_commits_per_tx'
members+=' flushes_per_tx switches_per_tx side cpu_us_per_tx baseline_cpu_us_per_tx where'
members+=' baseline_where".split()'

run 0 commit --threads 1,4 --seconds 0.1 --rounds 1 --json
check 'it talks' [ ! -s "$dir/err" ]
json 'list(d) == ["schema", "measure", "rows"] and d["schema"] == 1 and d["measure"] == "commit"'
json "all(list(r) == $members for r in d['rows'])"
json '[(r["threads"], r["baseline"]) for r in d["rows"]] == [(1, "raw"), (4, "raw")]'
json 'all(r["tx_per_s"] > 0 and r["baseline_per_s"] > 0 and r["ratio"] > 0 for r in d["rows"])'
json 'all(abs(r["ratio"] * r["baseline_per_s"] / r["tx_per_s"] - 1) < 1e-3 for r in d["rows"])'
json 'all(0 < r["p50_us"] <= r["p99_us"] <= r["p999_us"] for r in d["rows"])'
# No commit without a flush of the data before it; none is shared by more than there are threads.
json 'all(r["flushes_per_tx"] >= 1.999 * r["log_commits_per_tx"] > 0 for r in d["rows"])'
json 'all(r["log_commits_per_tx"] * r["threads"] > 0.99 for r in d["rows"])'
json '0.99 < d["rows"][0]["log_commits_per_tx"] <= 1.2'
json 'd["rows"][1]["log_commits_per_tx"] <= 1.2'

# A count in place of a time, and medians: every transaction of a lone thread is one commit.
run 0 commit --threads 1 --count 20 --warmup 3 --rounds 2 --json
json 'len(d["rows"]) == 1 and 0.99 < d["rows"][0]["log_commits_per_tx"] <= 1.2'

run 0 commit --threads 2 --count 20 --rounds 1
says '^threads +side +tx/s +ratio '
says '^ +2 +holdfast +[1-9][0-9]* +[0-9.]+ '
says '^ +2 +raw +[1-9][0-9]* +[1-9]'

run 0 begin --count 2000 --rounds 3 --json
json "[list(r) for r in d['rows']] == [$members] and d['measure'] == 'begin'"
json 'd["rows"][0]["tx_per_s"] > 1000 and d["rows"][0]["baseline"] is None'
json 'd["rows"][0]["log_commits_per_tx"] == 0 and d["rows"][0]["flushes_per_tx"] == 0'

# Five durable steps for a lone transaction over two stores, and flushes of as many; the baseline's
# two commits are not in the members, but its rate is.
run 0 kv --threads 1,4 --seconds 0.1 --rounds 1 --json
json "[list(r) for r in d['rows']] == [$members] * 2 and d['measure'] == 'kv' and d['schema'] == 1"
json '[(r["threads"], r["baseline"]) for r in d["rows"]] == [(1, "raw"), (4, "raw")]'
json 'all(r["tx_per_s"] > 0 and r["baseline_per_s"] > 0 and r["ratio"] > 0 for r in d["rows"])'
json '4.99 < d["rows"][0]["log_commits_per_tx"] <= 6'
json 'd["rows"][0]["flushes_per_tx"] >= 1.999 * d["rows"][0]["log_commits_per_tx"]'
json 'd["rows"][1]["log_commits_per_tx"] <= 6'

# Pairs without work, then with: their baseline is one thread that does the same.
run 0 holder --threads 1,2 --seconds 0.1 --rounds 2 --warmup 100 --json
json "[list(r) for r in d['rows']] == [$members] * 3 and d['measure'] == 'holder'"
json '[(r["threads"], r["baseline"]) for r in d["rows"]] == [(1, None), (1, "one"), (2, "one")]'
json 'all(r["tx_per_s"] > 1000 for r in d["rows"]) and d["rows"][0]["p50_us"] < 100'
json 'all(r["ratio"] > 0 for r in d["rows"][1:]) and d["rows"][0]["ratio"] is None'
json 'all(r["flushes_per_tx"] == 0 for r in d["rows"])'

for arguments in '' 'nonsense' 'commit extra' 'commit --threads 0' 'commit --threads 1,' \
    'commit --threads 1025' 'commit --threads 1,x' 'commit --seconds 0' 'commit --seconds -1' \
    'commit --seconds nan' 'commit --count 0' 'commit --count -1' 'commit --rounds 0' \
    'commit --rounds 100' 'commit --warmup' 'commit --dir=' 'commit --nonsense' \
    'begin --threads 2' 'begin --seconds 1' 'kv --threads 0' 'kv nonsense' \
    'holder --threads 0' 'holder extra' \
    "commit --threads $(seq -s, 1 17)"; do
    read -ra words <<<"$arguments"
    run 2 ${words[@]+"${words[@]}"}
    check 'stdout is not empty' [ ! -s "$dir/out" ]
    check 'it does not say what to give' grep -q '^usage: hf-bench commit' "$dir/err"
done

run 1 commit --dir "$dir/none" --threads 1 --seconds 0.1 --rounds 1
check 'it does not say where' grep -q "^hf-bench: .*$dir/none.*No such file" "$dir/err"
check 'it tells numbers all the same' [ ! -s "$dir/out" ]

# Stopped in the middle: no numbers, nothing left.
what='a run that is stopped'
"$bench" commit --threads 4 --seconds 60 --rounds 1 >"$dir/out" 2>"$dir/err" </dev/null &
for ((i = 0; i < 200; i++)); do
    [ -e "$(echo hf-bench.*/raw.mdb)" ] && break
    sleep 0.05
done
check 'it did not begin' [ -e "$(echo hf-bench.*/raw.mdb)" ]
kill -TERM $!
wait $!
code=$?
check "exit code $code, not 1" [ $code = 1 ]
check 'something was left behind' [ -z "$(ls -A .)" ]
check 'it tells numbers all the same' [ ! -s "$dir/out" ]

echo "bench: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
