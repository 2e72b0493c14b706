; SPDX-License-Identifier: BSD-2-Clause
; From the firmware's state of the processor to the one that the suite is promised, and back.

bits 64
default rel

%define CR0_PE 1 << 0
%define CR0_ET 1 << 4
%define CR0_NE 1 << 5
%define CR0_PG 1 << 31
%define CR4_PAE 1 << 5

extern suite_left

section .text

; _Noreturn void suite_enter(const struct selftest_info *info, uint64_t entry)
global suite_enter:function hidden
suite_enter:
	cli
	cld
	mov	rax, cr0
	mov	[saved_cr0], rax
	mov	rax, cr4
	mov	[saved_cr4], rax
	mov	[saved_rsp], rsp
	; Order: CR4.CET and PCIDE go before CR0 loses WP; paging stays.
	mov	eax, CR4_PAE
	mov	cr4, rax
	mov	eax, CR0_PG | CR0_NE | CR0_ET | CR0_PE
	mov	cr0, rax
	jmp	rsi

; With the firmware's page tables, and the stack, GDT and IDT of the suite. RDI, RSI, RDX are for
; suite_left().
global suite_leave:function hidden
suite_leave:
	cli
	cld
	mov	rax, [saved_cr0]
	mov	cr0, rax
	mov	rax, [saved_cr4]
	mov	cr4, rax
	mov	rsp, [saved_rsp]
	and	rsp, -16 ; as a call wants it, which left 8 bytes there: C may use vector registers
	call	suite_left
	ud2

section .bss align=8
saved_cr0:
	resq	1
saved_cr4:
	resq	1
saved_rsp:
	resq	1
