#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Format and static analysis of everything that is committed. All are run, and
# the exit status is 0 only when all are content.
set -u

cd "$(dirname "$0")/.." || exit
failed=0

run() { # name, command...
	name=$1
	shift
	if "$@"; then
		echo "check: ok $name"
	else
		echo "check: FAILED $name"
		failed=1
	fi
}

sources() { git ls-files -- "$@"; }
c_sources=$(sources '*.c' '*.h')
scripts=$(git grep -lE '^#!/(bin/sh|usr/bin/env bash)' -- tools tests .ci)

spdx() { # every source has its licence in the first lines
	for file in $(sources '*.c' '*.h' '*.asm' '*.ld' '*.py' '*.sh' Makefile tools/mksymbols); do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: BSD-2-Clause' ||
			{ echo "$file: no SPDX line" && return 1; }
	done
}

clang_build() { make -s clang >/dev/null; }

# shellcheck disable=SC2086 # lists of words
{
	run clang clang_build
	run clang-format clang-format --dry-run -Werror $c_sources
	run cppcheck cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -I. \
		--enable=warning,portability --suppress=missingIncludeSystem \
		--suppressions-list=tools/cppcheck-suppressions boot guest lib vmm tools/efi
	run shellcheck shellcheck -x -S warning $scripts
}
run spdx spdx
exit $failed
