#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Writes a disk image to a USB stick: tools/mkusb.sh IMAGE /dev/sdX. Asks first;
# refuses what is in use, and, unless FORCE=1, what is not removable. Reads back what it has written,
# and moves the image's second partition table to the end of the stick.
set -eu
PATH=$PATH:/usr/sbin:/sbin # where blockdev and sgdisk are

fail() {
	echo "usb: $*" >&2
	exit 1
}

[ $# -eq 2 ] && [ -n "$2" ] || fail "name the stick: make usb DEV=/dev/sdX"
image=$1
device=$2
[ -b "$device" ] || fail "$device is no block device"
name=$(basename "$(readlink -f "$device")")
[ -e "/sys/class/block/$name/partition" ] && fail "$device is a partition: name the whole disk"

# What lsblk prints of the disk and of everything on it: mount points and swap; RAID and LVM hold it.
if lsblk -nro MOUNTPOINT "$device" | grep -q .; then
	fail "$device is in use: unmount it first"
fi
for holders in "/sys/class/block/$name/holders" "/sys/class/block/$name"/*/holders; do
	[ -z "$(ls "$holders" 2>/dev/null)" ] || fail "$device is in use by $(ls "$holders")"
done
if [ "$(cat "/sys/class/block/$name/removable")" != 1 ] && [ "${FORCE:-}" != 1 ]; then
	fail "$device is not removable (FORCE=1 writes all the same)"
fi

[ -w "$device" ] || fail "no right to write $device: sudo make usb DEV=$device"
[ "$(blockdev --getsize64 "$device")" -ge "$(stat -c %s "$image")" ] || fail "$device is too small for $image"

echo "usb: $image of $(date -r "$image" '+%Y-%m-%d %H:%M')"
lsblk -o NAME,SIZE,MODEL,TRAN "$device"
printf 'usb: all data on %s will be lost. Type "yes" to write %s: ' "$device" "$image"
read -r answer || answer=
[ "$answer" = yes ] || fail "nothing written"
dd if="$image" of="$device" bs=4M conv=fsync status=progress
size=$(stat -c %s "$image")
# What the stick has, not what the kernel remembers.
blockdev --flushbufs "$device"
cmp -n "$size" "$image" "$device" || fail "$device does not read back what was written: try another stick"
# There an older one may lie, which some systems would believe.
said=$(sgdisk -e "$device" 2>&1) || fail "$device: the second partition table cannot be moved to its end: $said"
echo "usb: $device boots Manfred"
