; SPDX-License-Identifier: BSD-2-Clause
;
; Entry points of the VMM's IDT: one stub a vector makes the stack look alike,
; then one path saves the registers and calls trap_handle(struct trap_frame *).

bits 64
default rel

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
	push r15
	push r14
	push r13
	push r12
	push r11
	push r10
	push r9
	push r8
	push rdi
	push rsi
	push rbp
	push rbx
	push rdx
	push rcx
	push rax
	cld
	mov rdi, rsp
	call trap_handle
	pop rax
	pop rcx
	pop rdx
	pop rbx
	pop rbp
	pop rsi
	pop rdi
	pop r8
	pop r9
	pop r10
	pop r11
	pop r12
	pop r13
	pop r14
	pop r15
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
