; SPDX-License-Identifier: BSD-2-Clause
;
; Entry points of the VMM's IDT: one stub a vector makes the stack look alike,
; then one path saves the registers and calls trap_handle(struct trap_frame *).

bits 64
default rel

%include "vmm/registers.inc"

extern trap_handle
global trap_stubs

; Vectors where the processor pushes an error code: 8, 10 to 14, 17, 21.
%define ERROR_CODE_VECTORS ((1 << 8) | (0x1f << 10) | (1 << 17) | (1 << 21))

section .text

%assign vector 0
%rep 32
align 16
trap_stub_%[vector]:
%if ((ERROR_CODE_VECTORS >> vector) & 1) == 0
	push 0
%endif
	push vector
	jmp trap_common
%assign vector vector + 1
%endrep

trap_common:
	push_registers
	cld
	mov rdi, rsp
	call trap_handle
	pop_registers
	add rsp, 16
	iretq

section .rodata
align 8
trap_stubs:
%assign vector 0
%rep 32
	dq trap_stub_%[vector]
%assign vector vector + 1
%endrep
