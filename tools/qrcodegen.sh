#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Puts the C source of the QR code library into a folder, once: tools/qrcodegen.sh FOLDER.
# Debian's library is built for programs with a C library, so its source package is taken, whose
# archive lies beside the library in the distribution's archive, the same bytes in each of them.
set -eu

version=1.8.0
sha256=2ec0a4d33d6f521c942eeaf473d42d5fe139abcfa57d2beffe10c5cf7d34ae60
folder=$1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

archive_folder() { # where the distribution has the library, by apt's own sources
	(cd "$scratch" && apt-get download --print-uris libqrcodegen-dev 2>/dev/null) |
		sed -n "s/^'\(.*\)\/[^/]*' .*/\1/p" | head -n 1
}

source=$(archive_folder)
if [ -z "$source" ]; then # a fresh container has no lists yet
	as_root=
	[ "$(id -u)" -eq 0 ] || as_root=sudo
	$as_root apt-get update -qq || true
	source=$(archive_folder)
fi
if [ -z "$source" ]; then
	echo "qrcodegen: apt knows no package libqrcodegen-dev: enable Debian's main, or Ubuntu's universe" >&2
	exit 1
fi

name=qr-code-generator_$version.orig.tar.gz
if ! /usr/lib/apt/apt-helper download-file "$source/$name" "$scratch/$name" \
	"SHA256:$sha256" >"$scratch/log" 2>&1; then
	cat "$scratch/log" >&2
	echo "qrcodegen: cannot download $name, or it has other bytes than it should" >&2
	exit 1
fi
tar -xzf "$scratch/$name" -C "$scratch" --wildcards --strip-components=2 \
	'*/c/qrcodegen.c' '*/c/qrcodegen.h'
mkdir -p "$folder"
mv "$scratch/qrcodegen.h" "$scratch/qrcodegen.c" "$folder"
touch "$folder/qrcodegen.h" "$folder/qrcodegen.c" # newer than this script, for make
