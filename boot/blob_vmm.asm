; SPDX-License-Identifier: BSD-2-Clause
; The VMM, as a file within the loader.

section .data align=4096 progbits alloc noexec write

global vmm_image_start:data hidden, vmm_image_end:data hidden

vmm_image_start:
	incbin "build/gen/vmm.stripped"
vmm_image_end:
