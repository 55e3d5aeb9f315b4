#!/bin/bash
# full_disk.sh CRASH_FULL_DISK - run it on a small ext4 of its own, in a file. Exit 77: that needs
# root, a loop device and mkfs.ext4, and one of them is not there.
set -u

skip()
{
    echo "full_disk: skipped: $1"
    exit 77
}

finish()
{
    local status=$?
    [ -z "$mounted" ] || umount "$mounted" || status=1
    rm -rf "$dir"
    exit "$status"
}

mounted=
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || skip 'not root'
command -v mkfs.ext4 >/dev/null || skip 'there is no mkfs.ext4'
dir=$(mktemp -d) || exit 1
trap finish EXIT
truncate -s 48M "$dir/image" && mkfs.ext4 -q -m 0 "$dir/image" && mkdir "$dir/disk" || exit 1
mount -o loop "$dir/image" "$dir/disk" 2>"$dir/why" || skip "cannot mount: $(<"$dir/why")"
mounted=$dir/disk
"$1" "$dir/disk"
