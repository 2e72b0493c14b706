; SPDX-License-Identifier: BSD-2-Clause
; Instructions with a known value in every general register but RSP. The array is that of the
; first 15 entries of the kernel's mcontext gregs: R8 to R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX.

bits 64
default rel
section .text

; RDI: the array, also on top of the stack.
%macro load_registers 0
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdi
	mov	r8, [rdi]
	mov	r9, [rdi + 8]
	mov	r10, [rdi + 16]
	mov	r11, [rdi + 24]
	mov	r12, [rdi + 32]
	mov	r13, [rdi + 40]
	mov	r14, [rdi + 48]
	mov	r15, [rdi + 56]
	mov	rsi, [rdi + 72]
	mov	rbp, [rdi + 80]
	mov	rbx, [rdi + 88]
	mov	rdx, [rdi + 96]
	mov	rax, [rdi + 104]
	mov	rcx, [rdi + 112]
	mov	rdi, [rdi + 64]
%endmacro

; What the registers hold now goes into the array.
%macro store_registers 0
	push	rdi
	mov	rdi, [rsp + 8]
	mov	[rdi], r8
	mov	[rdi + 8], r9
	mov	[rdi + 16], r10
	mov	[rdi + 24], r11
	mov	[rdi + 32], r12
	mov	[rdi + 40], r13
	mov	[rdi + 48], r14
	mov	[rdi + 56], r15
	mov	[rdi + 72], rsi
	mov	[rdi + 80], rbp
	mov	[rdi + 88], rbx
	mov	[rdi + 96], rdx
	mov	[rdi + 104], rax
	mov	[rdi + 112], rcx
	pop	rax
	mov	[rdi + 64], rax
	pop	rdi
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret
%endmacro

; void events_fault(uint64_t registers[15]): a fault that the signal handler passes over.
global events_fault, events_fault_at, events_fault_after
events_fault:
	load_registers
events_fault_at:
	ud2
events_fault_after:
	store_registers

; void events_syscall(uint64_t registers[15])
global events_syscall, events_syscall_after
events_syscall:
	load_registers
	syscall
events_syscall_after:
	store_registers

; void events_spin(uint64_t registers[15]): until events_spin_stop is not 0.
global events_spin, events_spin_stop
events_spin:
	load_registers
.again:
	cmp	dword [events_spin_stop], 0
	je	.again
	store_registers

section .bss
alignb 4
events_spin_stop:
	resd	1

section .note.GNU-stack noalloc noexec nowrite progbits
