#!/bin/bash
# config.sh TXCTL MAKE_NODE SOURCE_DIR - txctl config check, on good files and on broken ones.
. "$(dirname "$0")/lib.sh"

cat >"$dir/good.ini" <<END
[holdfast]
node = $dir/node
[rm stock]
type = kv
open = dir=$dir/stock;wait_ms=20
rank = 7
[rm orders]
type = kv
open_file = $dir/secret
END
echo 'dir=/top/secret' >"$dir/secret"
chmod 600 "$dir/secret"

run 0 config check "$dir/good.ini"
silent err
says "^node: $dir/node$"
says '^ *stock +holdfast kv +static +thread +7$'
says '^ *orders +holdfast kv '
check 'an open string is printed' [ -z "$(grep -E 'wait_ms|secret' "$dir/out")" ]
check 'a node was made' [ ! -e "$dir/node" ]
run 0 config check "$dir/good.ini" --json
json 'd["node"].endswith("/node") and d["resource_managers"][0] == {"name": "stock",
    "library": "", "symbol": "hf_kv_switch", "switch": "holdfast kv", "rank": 7, "dynamic": False,
    "thread_bound": False, "rmid": "thread"} and len(d["resource_managers"]) == 2'

broken() # broken CODE ERROR PATTERN: what sed makes of the good one on stdin
{
    sed "$4" "$dir/good.ini" >"$dir/bad.ini"
    run "$1" config check "$dir/bad.ini"
    silent out
    talks "^txctl: $dir/bad.ini$3 \\($2\\)$"
}
broken 1 EINVAL ':5: unknown key opne in \[rm stock\]' 's/^open =/opne =/'
broken 1 EINVAL ':6: rank = high: not a number from .*' 's/7/high/'
broken 1 EINVAL ': \[holdfast\] has no node = DIRECTORY' 's|^node.*|timeout = 1|'
broken 3 ENOTFOUND ':4: \[rm stock\]: /none.so: cannot open shared object file.*' \
    '4s|.*|library = /none.so\nsymbol = x|'
broken 3 ENOTFOUND ':4: \[rm stock\]: no symbol db_xa_switch.*' \
    '4s|.*|library = libc.so.6\nsymbol = db_xa_switch|'
chmod 640 "$dir/secret"
broken 5 EOWNER ":8: $dir/secret has to be a file of this user.*" ''

run 3 config check "$dir/none.ini"
talks "$dir/none.ini: No such file"
run 2 config check
talks 'its argument is missing'
run 2 config check "$dir/good.ini" more
run 2 config
run 2 config check "$dir/good.ini" --node "$dir"
