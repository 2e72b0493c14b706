; SPDX-License-Identifier: BSD-2-Clause
;
; The way into the guest of the platform's self-test and back (checks.c), and that guest's code:
; two pages, which begin with FRED's entry points.

bits 64
default rel

%include "vmm/base/registers.inc"

global fred_check_enter
global fred_check_exit

FRED_ENTRY_RING0 equ 0x100
VECTOR_IN_FRAME equ 5 * 8 + 4

section .text

; bool fred_check_enter(struct guest_regs *regs, bool launched)
; Back at the next exit: true. False: the VM entry failed, and there is an instruction error.
; HOST_RSP is the end of *regs, HOST_RIP is fred_check_exit.
fred_check_enter:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [caller_rsp], rsp
	mov rsp, rdi
	test sil, sil
	pop_registers
	jnz .again
	vmlaunch
	jmp .failed
.again:
	vmresume
.failed:
	push_registers
	xor eax, eax
	jmp back

fred_check_exit:
	push_registers
	; RFLAGS.IF is 0 already, but with erratum FR-4 not every part of the processor knows.
	cli
	mov eax, 1
back:
	mov rsp, [caller_rsp]
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

section .bss

caller_rsp:
	resq 1

section .rodata

; Each piece of code ends in VMCALL, or in an event, which enters at one. Position-independent.
%macro code 1
global fred_check_%1
fred_check_%1:
%endmacro

align 16
code entries
	vmcall
	times FRED_ENTRY_RING0 - ($ - fred_check_entries) int3
	vmcall

code rdmsr
	rdmsr
	vmcall

code wrmsr
	wrmsr
	vmcall

code wrmsrns
	db 0x0f, 0x01, 0xc6
	vmcall

code int3
	int3
	vmcall

code int1
	db 0xf1
	vmcall

code int_n
	int 0x20
	vmcall

code syscall
	syscall
	vmcall

code ud2
	ud2

code read_rbx
	mov al, [rbx]
	vmcall

code sti_int3
	sti
	int3
	vmcall

code lkgs
	db 0xf2, 0x0f, 0x00, 0xf0	; LKGS AX
	vmcall

code erets
	db 0xf2, 0x0f, 0x01, 0xca

code eretu
	db 0xf3, 0x0f, 0x01, 0xca

; With IF=0 and an interrupt behind CR8: RBX is 0 until it should have come, 2 when it never did.
code lower_cr8
	mov eax, 14
	mov cr8, rax
	times 32 nop
	mov ebx, 1
	cli
	times 16 nop
	mov ebx, 2
	vmcall

	times 0x1000 - ($ - fred_check_entries) int3

; The second page: the handler of INT3 lowers CR8, so that an interrupt becomes pending behind IF=0,
; and then lets it come. RBX is 0 until it may come, 2 when it never did.
code entries_cr8
	vmcall
	times FRED_ENTRY_RING0 - ($ - fred_check_entries_cr8) int3
	cmp byte [rsp + VECTOR_IN_FRAME], 3
	jne .interrupt
	mov eax, 14
	mov cr8, rax
	times 32 nop
	mov ebx, 1
	sti
	times 32 nop
	mov ebx, 2
.interrupt:
	vmcall
	times 0x1000 - ($ - fred_check_entries_cr8) int3
