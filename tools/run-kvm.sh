#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Boots a disk image in QEMU with KVM and nested VMX: tools/run-kvm.sh IMAGE.
# With VTD=1 the machine has VT-d. Says what is missing when the host cannot. The serial line is the terminal. With
# at_end = debug-exit in the image's manfred.cfg the exit status is 0 when the end
# line says ok, and 1 when it does not; 124 when TIMEOUT seconds are over.
set -eu

missing() {
	echo "run-kvm: $*" >&2
	exit 1
}

grep -qw vmx /proc/cpuinfo ||
	missing "this processor offers no VMX (an Intel processor, or a virtual machine with nested VMX, is needed)"
[ -e /dev/kvm ] || missing "no /dev/kvm: load the module kvm_intel"
[ -r /dev/kvm ] && [ -w /dev/kvm ] || missing "no right to open /dev/kvm: join the group kvm, or be root"
nested=/sys/module/kvm_intel/parameters/nested
grep -qs '^[Y1]' "$nested" || missing "nested VMX is off: modprobe -r kvm_intel; modprobe kvm_intel nested=1"
command -v qemu-system-x86_64 >/dev/null || missing "no qemu-system-x86_64: tools/setup.sh test installs it"

status=0
# shellcheck disable=SC2086 # two words, or none
timeout "${TIMEOUT:-600}" qemu-system-x86_64 -machine q35,accel=kvm -cpu host \
	-smp "${CPUS:-1}" -m "${MACHINE_MEMORY:-512}" \
	-bios build/platform/root/usr/share/ovmf/OVMF.fd \
	${VTD:+-device intel-iommu,intremap=off,aw-bits=48} \
	-drive "format=raw,file=$1,if=none,id=disk" -device ide-hd,drive=disk \
	-serial stdio -display none -monitor none -net none \
	-device isa-debug-exit,iobase=0xf4,iosize=1 || status=$?
# What lib/debug_exit.h makes of ok and failed.
case $status in
33) exit 0 ;;
35) exit 1 ;;
*) exit $status ;;
esac
