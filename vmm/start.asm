; SPDX-License-Identifier: BSD-2-Clause
;
; The way into the VMM from the loader.

bits 64
default rel

extern boot_stack_top
extern vmm_main

global vmm_entry

section .text.entry

; RDI: struct boot_info. Interrupts are off, the page tables are the VMM's.
vmm_entry:
	mov rsp, boot_stack_top
	xor ebp, ebp			; where backtraces end
	call vmm_main
	ud2
