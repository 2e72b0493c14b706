; SPDX-License-Identifier: BSD-2-Clause
; The built-in guest, as a file within the loader and within fredcheck.efi.

section .data align=4096 progbits alloc noexec write

global selftest_image_start:data hidden, selftest_image_end:data hidden

selftest_image_start:
	incbin "build/gen/selftest.stripped"
selftest_image_end:
