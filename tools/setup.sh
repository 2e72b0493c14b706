#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs the host's packages that a purpose needs and that are missing, and
# says so first: tools/setup.sh build|run|test|check|lab. Silent when all is there.
set -eu

# One line per package: purpose, package, why.
packages() {
	cat <<-'END'
		build gcc              compiles everything
		build libc6-dev        C library of the host programs
		build binutils         links everything
		build nasm             assembles the VMM
		build fonts-spleen     the font of the screen console
		build gnu-efi          start-up code of UEFI applications
		build python3          runs the tools
		build mtools           fills FAT file systems without root
		build gdisk            makes partition tables without root
		run   mmdebstrap       unpacks the pinned emulator and firmware
		run   debian-archive-keyring the release's signatures
		run   gpg              checks them
		test  libcmocka-dev    host unit tests
		test  python3-pytest   system tests
		test  python3-pytest-xdist two emulators at a time
		test  python3-junitparser reads our results back, in tests
		test  python3-tap      the same
		test  python3-pil      pictures of the screen
		test  python3-pexpect  presses keys in tests
		test  python3-zbar     reads the QR codes on them
		test  qemu-system-x86  a machine without VMX
		test  sbsigntool       signs a program for Secure Boot
		test  openssl          opens the key for that
		test  ovmf             UEFI firmware for it
		test  python3-pexpect  a serial line as labs read it, in tests
		test  python3-yaml     reads the labs' files, in tests
		check clang            second compiler
		check clang-format     source format
		check cppcheck         static analysis
		check shellcheck       static analysis of shell scripts
		lab   python3-labgrid  boards in a lab
		lab   lava-common      LAVA's schemas: is our job one
	END
}

installed() {
	dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

case "${1:-}" in
build) purposes='build' ;;
run) purposes='build|run' ;;
test) purposes='build|run|test' ;;
check) purposes='build|check' ;;
lab) purposes='build|run|test|lab' ;;
*)
	echo "usage: tools/setup.sh build|run|test|check|lab" >&2
	exit 2
	;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "setup: this is no Debian, Ubuntu or relative (no apt-get): install by hand what tools/setup.sh lists" >&2
	exit 1
fi

missing_for() { # purposes: their packages that are not installed, each with its reason
	packages | sed -nE "s/^($1) +//p" | while read -r package why; do
		installed "$package" || printf '%s %s\n' "$package" "$why"
	done
}

names() { # of such a list, each once
	cut -d' ' -f1 | sort -u | paste -sd ' '
}

# A user who has to ask somebody else asks once: all that make run and make test need, too.
advise() {
	all=$(missing_for "$purposes|run|test" | names)
	echo "setup: $*; have root run: apt-get install --no-install-recommends $all" >&2
	exit 1
}

list=$(missing_for "$purposes")
[ -n "$list" ] || exit 0
missing=$(printf '%s\n' "$list" | names)

as_root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || advise "neither root nor sudo"
	as_root=sudo
fi

echo "setup: installing with ${as_root:+sudo }apt-get:"
printf '%s\n' "$list" | while read -r package why; do
	printf 'setup:   %-20s %s\n' "$package" "$why"
done
# A password is asked for here, not in the middle of apt-get's silence.
[ -z "$as_root" ] || sudo -v || advise "sudo does not let this user"

# sudo drops the settings of a proxy.
set -- env DEBIAN_FRONTEND=noninteractive
for name in http_proxy https_proxy no_proxy; do
	eval "value=\${$name:-}"
	[ -z "$value" ] || set -- "$@" "$name=$value"
done
# The lists may be old, or absent in a fresh container. Somebody's broken source
# among them need not matter.
$as_root "$@" apt-get update -qq || echo "setup: apt-get update failed; trying with the lists that are here"
# shellcheck disable=SC2086 # a list of words
$as_root "$@" apt-get install -y -qq --no-install-recommends \
	-o Dpkg::Use-Pty=0 $missing </dev/null >/dev/null ||
	advise "apt-get has failed (above is why: no network, or no mirror in /etc/apt?)"
echo "setup: done"
