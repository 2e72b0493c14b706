; SPDX-License-Identifier: BSD-2-Clause
; Switches between 4-level and 5-level paging. CR4.LA57 cannot change in long mode (SDM 3A, 2.5),
; so the way is: 64-bit code here, 32-bit code in a copy of this below 4 GiB, paging off, CR4.LA57,
; paging on, 64-bit code. All of it runs on page tables of our own that map no more than this, the
; copy and its stack: no IDT. Interrupts are off; an NMI in these few instructions resets the machine.

bits 64
default rel

%define MSR_IA32_EFER 0xc0000080
%define EFER_NXE 1 << 11
%define CR0_PG_BIT 31
%define CR4_PAE 1 << 5
%define CR4_LA57 1 << 12
%define CR4_CET_BIT 23

%define CODE_64 0x08
%define CODE_32 0x10
%define DATA_32 0x18

; lib/layout.h has the same
%define PAGE_SIZE 0x1000
; boot/la57.c: the code must not cross the end of a page
%define SIZE_MAX 512

section .text.la57 progbits alloc exec nowrite align=SIZE_MAX

global la57_code:data hidden
la57_code:

; void la57_toggle(uint64_t copy, uint64_t tables, uint64_t other, uint64_t after)
;                       rdi            rsi             rdx             rcx
; `copy` is a page with the copy and the page of its stack; both, and this page, are mapped to
; themselves by `tables` and, in the other mode, by `other`. Goes on with the tables `after`.
global la57_toggle:function hidden
la57_toggle:
	cli
	cld
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	mov	eax, cs
	push	rax
	mov	eax, ds
	push	rax
	mov	eax, es
	push	rax
	mov	eax, ss
	push	rax
	sub	rsp, 16
	sgdt	[rsp]

	; From here on the stack of the copy, with what 32-bit code cannot keep in registers.
	lea	rax, [rdi + 2 * PAGE_SIZE - 8]
	mov	[rax], rsp
	mov	rsp, rax
	mov	rax, cr4
	mov	rbx, rax
	; CET stays off: after this nothing says where its shadow stack was.
	btr	rbx, CR4_CET_BIT
	xor	rbx, CR4_LA57
	push	rbx
	push	rcx
	lea	rbx, [.back]
	push	rbx
	push	rdx

	; PCIDE and CET do not go with 32-bit code, and PGE keeps the firmware's translations.
	and	eax, CR4_PAE | CR4_LA57
	mov	cr4, rax
	mov	ecx, MSR_IA32_EFER
	rdmsr
	or	eax, EFER_NXE
	wrmsr
	lea	rax, [rdi + (.gdt - la57_code)]
	push	rax
	push	word .gdt_end - .gdt - 1
	mov	cr3, rsi
	lgdt	[rsp]
	add	rsp, 10
	push	CODE_32
	lea	rax, [rdi + (.without_paging - la57_code)]
	push	rax
	o64 retf

bits 32
.without_paging:
	mov	eax, DATA_32
	mov	ss, eax
	mov	eax, cr0
	btr	eax, CR0_PG_BIT
	mov	cr0, eax
	mov	ecx, cr4
	xor	ecx, CR4_LA57
	mov	cr4, ecx
	pop	ecx
	pop	edx ; its upper half, which is 0
	mov	cr3, ecx
	bts	eax, CR0_PG_BIT
	mov	cr0, eax
	push	CODE_64
	lea	eax, [edi + (.with_paging - la57_code)]
	push	eax
	retf

bits 64
.with_paging:
	mov	esp, esp ; 32-bit code leaves the upper half undefined
	ret ; to the next line, but not in the copy

.back:
	pop	rax
	mov	cr3, rax
	pop	rax
	mov	cr4, rax
	pop	rsp
	lgdt	[rsp]
	add	rsp, 16
	pop	rax
	mov	ss, eax
	pop	rax
	mov	es, eax
	pop	rax
	mov	ds, eax
	lea	rax, [.own_segments]
	push	rax
	o64 retf
.own_segments:
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret

; Accessed already: the processor need not write to them.
align 8
.gdt:
	dq	0
	dq	0x00af9b000000ffff ; 64-bit code
	dq	0x00cf9b000000ffff ; 32-bit code
	dq	0x00cf93000000ffff ; data
.gdt_end:

	times SIZE_MAX - ($ - la57_code) db 0
