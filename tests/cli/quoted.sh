#!/bin/bash
# quoted.sh TEXT SOURCE PROGRAM WORDS - the C that TEXT quotes is SOURCE without its head, and
# PROGRAM, which was made of it, says WORDS: twice, in an empty directory of its own.
set -u
text=$1 source=$2 program=$3 words=$4
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

sed -n '/^```c$/,/^```$/p' "$text" | sed '1d;$d' >"$dir/quoted"
sed '1,/^ \*\/$/d' "$source" >"$dir/source"
if ! [ -s "$dir/quoted" ] || ! diff -u "$dir/source" "$dir/quoted"; then
    echo "quoted: $text does not quote $source"
    failed=1
fi
mkdir "$dir/work" && cd "$dir/work" || exit 1
for run in first second; do
    said=$("$program" 2>&1)
    if [ $? != 0 ] || [ "$said" != "$words" ]; then
        echo "quoted: the $run run says: $said"
        failed=1
    fi
done
exit $failed
