; SPDX-License-Identifier: BSD-2-Clause
; The VMM and the built-in guest, as files within the loader.

section .data align=4096 progbits alloc noexec write

global vmm_image_start:data hidden, vmm_image_end:data hidden
global selftest_image_start:data hidden, selftest_image_end:data hidden

vmm_image_start:
	incbin "build/gen/vmm.stripped"
vmm_image_end:

align 4096, db 0
selftest_image_start:
	incbin "build/gen/selftest.stripped"
selftest_image_end:
