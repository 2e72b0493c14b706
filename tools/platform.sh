#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Unpacks what tools/versions pins into build/platform, once: root/ holds the
# Debian release's Bochs, OVMF and busybox, kernel/ a Debian kernel with its
# modules. A half-made folder is thrown away. Nothing in it needs a chroot.
set -eu

cd "$(dirname "$0")/.."
# shellcheck source=tools/versions
. tools/versions

platform=build/platform
fresh=$platform.new

download_kernel() { # $1: kernel version; false when the archive has not both packages
	rm -rf "$fresh/debs"
	mkdir -p "$fresh/debs"
	(
		cd "$fresh/debs"
		apt-get download -qq "linux-binary-$1" "linux-modules-$1"
	) >/dev/null 2>&1
}

newest_kernel() { # the newest version that has an image and modules
	apt-cache pkgnames linux-binary- | sed -n 's/^linux-binary-\(.*-cloud-amd64\)$/\1/p' |
		sort -rV | while read -r version; do
		if apt-cache show "linux-modules-$version" >/dev/null 2>&1; then
			echo "$version"
			break
		fi
	done
}

# The mirror to try: the one that MIRROR names; else the host's own, when the host is a Debian.
mirrors() {
	if [ -n "${MIRROR:-}" ]; then
		echo "$MIRROR"
		return
	fi
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
		'Component: main' 'Label: Debian' 2>/dev/null | head -n 1
}

find_mirror() { # the one to try, when it has the release; empty: mmdebstrap knows Debian's own
	mirrors | while read -r mirror; do
		if /usr/lib/apt/apt-helper download-file "${mirror%/}/dists/$DEBIAN_RELEASE/InRelease" \
			$fresh/InRelease >/dev/null 2>&1; then
			echo "${mirror%/}"
			break
		fi
	done
}

no_release() { # where
	echo "platform: no Debian $DEBIAN_RELEASE at $1: is there a network? MIRROR=http://... names another mirror of Debian" >&2
}

if cmp -s tools/versions $platform/versions; then
	touch $platform/versions # newer than this script: nothing to make anew
	exit 0
fi

echo "platform: unpacking Debian $DEBIAN_RELEASE's Bochs, OVMF and a Linux kernel into $platform (once; about a minute)"
rm -rf $fresh $platform
mkdir -p $fresh
mirror=$(find_mirror)
if [ -z "$mirror" ] && [ -n "${MIRROR:-}" ]; then
	no_release "$MIRROR"
	exit 1
fi

# Some packages' maintainer scripts would want a chroot: extract only. The
# backports line is the release's own with another name.
mmdebstrap --quiet --variant=extract --mode=chrootless --architectures=amd64 \
	--setup-hook="sed -n '1s/ $DEBIAN_RELEASE / $DEBIAN_RELEASE-backports /p' \
		\"\$1\"/etc/apt/sources.list >\"\$1\"/etc/apt/sources.list.d/backports.list" \
	--skip=cleanup/apt/lists --skip=check/chrootless \
	--include=bochs,ovmf,busybox-static "$DEBIAN_RELEASE" $fresh/root ${mirror:+"$mirror"} || {
	status=$?
	no_release "${mirror:-its usual mirror}"
	exit $status
}

# The kernel packages' dependencies are about installing them: download these
# two with the unpacked release's own apt lists.
cat >$fresh/apt.conf <<END
Dir "$PWD/$fresh/root";
Dir::State::status "$PWD/$fresh/root/var/lib/dpkg/status";
APT::Architecture "amd64";
APT::Sandbox::User "root";
END
export APT_CONFIG="$PWD/$fresh/apt.conf"

kernel=$KERNEL_VERSION
if ! download_kernel "$kernel"; then
	kernel=$(newest_kernel)
	echo "platform: WARNING: kernel $KERNEL_VERSION has left the archive; taking ${kernel:-none}, which nobody has tested" >&2
	download_kernel "$kernel"
fi
for package in "$fresh"/debs/*.deb; do
	dpkg-deb -x "$package" $fresh/kernel
done

rm -rf $fresh/debs
mkdir $fresh/debs
# shellcheck disable=SC2086 # a list of words
(cd $fresh/debs && apt-get download -qq $DISPLAY_PACKAGES)
for package in "$fresh"/debs/*.deb; do
	dpkg-deb -x "$package" $fresh/root
done
rm -rf $fresh/debs $fresh/apt.conf $fresh/root/var

image=$(find $fresh/kernel \( -name vmlinuz -o -name 'vmlinuz-*' \) -type f | head -n 1)
mv "$image" $fresh/vmlinuz
echo "$kernel" >$fresh/kernel-version
cp tools/versions $fresh/versions # its date is the stamp that make looks at
mv $fresh $platform
echo "platform: ready: Bochs $BOCHS_VERSION, kernel $kernel"
