#!/bin/bash
# config.sh TXCTL MAKE_NODE SOURCE_DIR BAD_SWITCHES - txctl config check, on good files and on
# broken ones. BAD_SWITCHES is tests/support/bad_switches.c, loadable.
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
# Keys of [holdfast] and of the second section; values that are none.
broken 1 EINVAL ':3: unknown key nodes in \[holdfast\]' '2s|$|\nnodes = x|'
broken 1 EINVAL ':3: recover_ms = fast: not a number from 1 to .*' '2s|$|\nrecover_ms = fast|'
broken 1 EINVAL ':4: recover_ms = 9 is above recover_max_ms = 8' \
    '2s|$|\nrecover_max_ms = 8\nrecover_ms = 9|'
broken 1 EINVAL ':3: history = some: not one of worthy, all, none' '2s|$|\nhistory = some|'
broken 1 EINVAL ':3: timeout = -1: not a number from 0 to .*' '2s|$|\ntimeout = -1|'
broken 1 EINVAL ':3: node is given twice' '2s|$|\nnode = /else|'
broken 1 EINVAL ':4: \[rms stock\]: a section is \[holdfast\] or \[rm NAME\]' \
    's|rm stock|rms stock|'
broken 1 EINVAL ':8: this section is given twice: it begins in line 3' 's|rm orders|rm stock|'
broken 1 EINVAL ':3: neither \[section\] nor key = value' '3s|.*|\[rm stock|'
broken 1 EINVAL ':4: the section before has no keys' '3s|$|\n\[rm other\]|'
broken 1 EINVAL ':4: \[rm stock\] needs either a type or a symbol' '4d'
broken 1 EINVAL ':4: \[rm stock\]: type = oracle: not one of kv, postgres, mariadb' '4s|kv|oracle|'
broken 1 EINVAL ':4: \[rm stock\]: a type brings its own extension' '4s|$|\nextension = x|'
broken 1 EINVAL ':4: \[rm stock\]: rmid = process: an rmid of kv is .*' '4s|$|\nrmid = process|'
broken 1 EINVAL ':8: \[rm orders\]: a string is given by its key or by a file, not by both' \
    '8s|$|\nopen = dir=/x|'
broken 1 EINVAL ':6: rank = 2147483648: not a number from .*' 's/7/2147483648/'

# Switches.
switch() # switch CODE ERROR PATTERN SYMBOL [MORE-KEYS]
{
    broken "$1" "$2" "$3" "4s|.*|library = $bad\nsymbol = $4${5-}|"
}
bad=$4
switch 1 ESWITCH ':4: stock: the switch has version 1, not 0.*' version_1
switch 1 ESWITCH ':4: stock: .*32 bits.*' narrow
switch 1 ESWITCH ':4: stock: .*null entry.*' null_entry
switch 1 ESWITCH ":4: stock: .*name has no end.*" no_name
switch 1 ESWITCH ':4: \[rm stock\]: the switch dynamic is a dynamic one' dynamic \
    '\nregistration = static'
switch 3 ENOTFOUND ':4: \[rm stock\]: no symbol other.*' other
switch 3 ENOTFOUND ':4: \[rm stock\]: no symbol none.*' dynamic '\nextension = none'
sed "4s|.*|library = $bad\nsymbol = dynamic|" "$dir/good.ini" >"$dir/bad.ini"
run 0 config check "$dir/bad.ini"
says '^ *stock +dynamic +dynamic +thread +7$'

# Files that are not private enough.
chmod 640 "$dir/secret"
broken 5 EOWNER ":8: $dir/secret has to be a file of this user.*" ''

rm "$dir/secret"
broken 3 ENOTFOUND ":8: $dir/secret: No such file.*" ''
echo 'dir=/top/secret' >"$dir/secret"
chmod 600 "$dir/secret"
cp "$dir/good.ini" "$dir/bad.ini"
chmod 666 "$dir/bad.ini"
run 5 config check "$dir/bad.ini"
talks "^txctl: $dir/bad.ini: has to be a file of this user or of root.* \(EOWNER\)$"
chmod 600 "$dir/bad.ini"

run 3 config check "$dir/none.ini"
talks "$dir/none.ini: No such file"
run 2 config check
talks 'its argument is missing'
run 2 config check "$dir/good.ini" more
run 2 config
run 2 config check "$dir/good.ini" --node "$dir"
