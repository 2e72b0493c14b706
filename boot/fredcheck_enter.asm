; SPDX-License-Identifier: BSD-2-Clause
; From the firmware's state of the processor to the one that the suite is promised, and back: the
; firmware goes on behind the suite. Its task register is the suite's then, which is no harm where
; nothing changes the ring, and its CET must be off.

bits 64
default rel

%define CR0_PE 1 << 0
%define CR0_ET 1 << 4
%define CR0_NE 1 << 5
%define CR0_PG 1 << 31
%define CR4_PAE 1 << 5
%define DR7_OFF 0x400
%define RFLAGS_OFF 0x2 ; the bit that is always 1

%define MSR_IA32_EFER 0xc0000080
%define MSR_IA32_FS_BASE 0xc0000100
%define MSR_IA32_GS_BASE 0xc0000101

%macro save_msr 2
	mov	ecx, %1
	rdmsr
	mov	[%2], eax
	mov	[%2 + 4], edx
%endmacro

%macro restore_msr 2
	mov	ecx, %1
	mov	eax, [%2]
	mov	edx, [%2 + 4]
	wrmsr
%endmacro

extern suite_left

section .text

; _Noreturn void suite_enter(const struct selftest_info *info, uint64_t entry)
global suite_enter:function hidden
suite_enter:
	cli
	cld
	save_msr MSR_IA32_EFER, saved_efer
	save_msr MSR_IA32_FS_BASE, saved_fs_base
	save_msr MSR_IA32_GS_BASE, saved_gs_base
	sgdt	[saved_gdt]
	sidt	[saved_idt]
	mov	[saved_cs], cs
	mov	[saved_ss], ss
	mov	[saved_ds], ds
	mov	[saved_es], es
	mov	[saved_fs], fs
	mov	[saved_gs], gs
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

; With the firmware's page tables, and the stack, GDT and IDT of the suite. RDI and RSI are for
; suite_left().
global suite_leave:function hidden
suite_leave:
	cli
	cld
	mov	eax, DR7_OFF
	mov	dr7, rax
	restore_msr MSR_IA32_EFER, saved_efer
	mov	rax, [saved_cr0]
	mov	cr0, rax
	mov	rax, [saved_cr4]
	mov	cr4, rax
	mov	rsp, [saved_rsp]
	push	RFLAGS_OFF
	popfq
	lgdt	[saved_gdt]
	lidt	[saved_idt]
	mov	ss, [saved_ss]
	mov	ds, [saved_ds]
	mov	es, [saved_es]
	mov	fs, [saved_fs]
	mov	gs, [saved_gs]
	restore_msr MSR_IA32_FS_BASE, saved_fs_base
	restore_msr MSR_IA32_GS_BASE, saved_gs_base
	movzx	eax, word [saved_cs]
	push	rax
	lea	rax, [.firmware_segment]
	push	rax
	o64 retf
.firmware_segment:
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
saved_efer:
	resq	1
saved_fs_base:
	resq	1
saved_gs_base:
	resq	1
saved_gdt:
	resb	10
saved_idt:
	resb	10
saved_cs:
	resw	1
saved_ss:
	resw	1
saved_ds:
	resw	1
saved_es:
	resw	1
saved_fs:
	resw	1
saved_gs:
	resw	1
