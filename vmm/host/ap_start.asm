; SPDX-License-Identifier: BSD-2-Clause
;
; Where a processor begins after SIPI. smp.c copies this to a page below 1 MiB, fills in the
; parameters, and has that page mapped at its own address while processors start.

default rel

global ap_start_begin
global ap_start_parameters
global ap_start_end

CR0_PE_NE_PG equ 0x80000021
CR4_PAE equ 1 << 5
MSR_EFER equ 0xc0000080
EFER_LME_NXE equ (1 << 8) | (1 << 11)

%define IN_PAGE(label) ((label) - ap_start_begin)

section .rodata

bits 16
align 16
ap_start_begin:
	cli
	cld
	mov ax, cs
	mov ds, ax
	o32 lgdt [IN_PAGE(ap_start_parameters.gdt)]
	mov eax, CR4_PAE
	mov cr4, eax
	mov eax, [IN_PAGE(ap_start_parameters.cr3)]
	mov cr3, eax
	mov ecx, MSR_EFER
	xor edx, edx
	mov eax, EFER_LME_NXE
	wrmsr
	; From real mode to 64-bit mode in one step (SDM 3A, 10.8.5 allows PE and PG together), with
	; the caches on, which INIT has left off.
	mov eax, CR0_PE_NE_PG
	mov cr0, eax
	jmp far dword [IN_PAGE(ap_start_parameters.jump)]

bits 64
.long_mode:
	mov rsp, [ap_start_parameters.stack]
	xor ebp, ebp			; where backtraces end
	mov rdi, [ap_start_parameters.argument]
	mov rax, [ap_start_parameters.entry]
	call rax
	ud2

; struct ap_start_parameters in smp.c
align 8
ap_start_parameters:
.gdt:	dw 0
	dd 0
	dw 0
.jump:	dd IN_PAGE(ap_start_begin.long_mode)
	dw 0
	dw 0
.cr3:	dq 0
.stack:	dq 0
.argument:
	dq 0
.entry:	dq 0
ap_start_end:
