; SPDX-License-Identifier: BSD-2-Clause
; From a 64-bit program into a 32-bit code segment and back, with one instruction under test there.

section .text
bits 64
default rel

USER_CS equ 0x33
USER_DS equ 0x2b

; uint32_t gate(uint16_t selector, const void *code, uint32_t eax): jumps to the code in this segment,
; and returns its EAX. The program's addresses have 32 bits, and so has the stack's meanwhile.
global gate, gate_back
gate:
	push	rbp
	push	rbx
	mov	[old_stack], rsp
	mov	eax, USER_DS
	mov	ds, eax
	mov	es, eax
	mov	eax, edx
	lea	rsp, [low_stack_end]
	lea	rbp, [low_stack_end - 16]	; Linux takes EBP for the stack at SYSENTER
	movzx	edi, di
	push	rdi
	push	rsi
	o64 retf
gate_back:
	mov	rsp, [old_stack]
	pop	rbx
	pop	rbp
	ret

bits 32
; gate_NAME, and gate_NAME_after behind the instruction.
%macro fragment 2+
global gate_%1, gate_%1_after
gate_%1:
	%2
gate_%1_after:
	jmp	USER_CS:gate_back
%endmacro

fragment int80, int 0x80
fragment sysenter, sysenter
fragment int3, int3
fragment bound, bound eax, [bounds]
fragment divide, div dword [bounds]
fragment write, mov [eax], eax
fragment syscall, syscall

section .data
align 8
bounds:
	dd 0, 2

section .bss
alignb 16
old_stack:
	resq	1
low_stack:
	resb	4096
low_stack_end:

section .note.GNU-stack noalloc noexec nowrite progbits
