#!/bin/bash
# walls.sh CC SOURCE_DIR ROOM INCLUDE_DIRECTORIES - what the compiler lets a room include.
#
# With the include path that the build gives to the room (a list with semicolons), each private
# header of the room itself is found, and none of any other room. The path of a room that sees too
# much, or nothing at all, fails here.
set -u
cc=$1 source=$2 room=$3
IFS=';' read -ra directories <<<"$4"
passed=0 failed=0

found() # found HEADER: is it on the include path?
{
    printf '#if !__has_include("%s")\n#error not found\n#endif\n' "$1" |
        "$cc" "${directories[@]/#/-I}" -x c -fsyntax-only - 2>/dev/null
}

check() # check WANTED HEADER OF_ROOM
{
    local is=hidden
    found "$2" && is=found
    if [ "$is" = "$1" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "walls: $2 of $3 is $is to $room"
    fi
}

for other in tm tm/tx holder rm/kv rm/postgres rm/mariadb; do
    for header in "$source/$other"/*.h; do
        [ -e "$header" ] || continue
        if [ "$other" = "$room" ]; then
            check found "${header##*/}" "$other"
        elif [ ! -e "$source/$room/${header##*/}" ]; then # a namesake proves nothing
            check hidden "${header##*/}" "$other"
        fi
    done
done
check found holdfast/base.h tm

echo "walls: $room: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -ge 3 ]
