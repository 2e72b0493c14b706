; SPDX-License-Identifier: BSD-2-Clause
;
; Entry points of the VMM's IDT: one stub a vector makes the stack look alike,
; then one path saves the registers and calls trap_handle(struct trap_frame *).
; FRED's entry point makes the same of FRED's frame.

bits 64
default rel

%include "vmm/base/registers.inc"

extern trap_handle
global trap_stubs
global trap_fred_entry

FRED_ENTRY_RING0 equ 0x100
SAVED_REGISTERS equ 15 * 8
; From the vector that we push to the dword of FRED's augmented SS that begins with the event's.
VECTOR_IN_SS equ 8 + 5 * 8 + 4

; Vectors where the processor pushes an error code: 8, 10 to 14, 17, 21.
%define ERROR_CODE_VECTORS ((1 << 8) | (0x1f << 10) | (1 << 17) | (1 << 21))

section .text

%assign vector 0
%rep 256
align 16
trap_stub_%[vector]:
%if vector >= 32 || ((ERROR_CODE_VECTORS >> vector) & 1) == 0
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

; Events of ring 3 enter at the start of the page: the VMM has none.
align 4096
trap_fred_entry:
	ud2
	times FRED_ENTRY_RING0 - ($ - trap_fred_entry) int3
	push 0
	push_registers
	movzx eax, byte [rsp + SAVED_REGISTERS + VECTOR_IN_SS]
	mov [rsp + SAVED_REGISTERS], rax
	cld
	mov rdi, rsp
	call trap_handle
	pop_registers
	add rsp, 8
	db 0xf2, 0x0f, 0x01, 0xca	; ERETS, which skips the error code by itself

section .rodata
align 8
trap_stubs:
%assign vector 0
%rep 256
	dq trap_stub_%[vector]
%assign vector vector + 1
%endrep
