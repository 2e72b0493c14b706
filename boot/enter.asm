; SPDX-License-Identifier: BSD-2-Clause
; The jump from the loader to the VMM. All of it lies in one page that is mapped
; identically by the firmware's page tables and by the VMM's.

%define MSR_IA32_EFER 0xc0000080
%define EFER_NXE      1 << 11
%define CR0_WP        1 << 16
; Off until the VMM turns them on: PGE (its flush is wanted), PCIDE, CET and PKS,
; whose state would be the firmware's and no use with other page tables.
%define CR4_OFF       (1 << 7) | (1 << 17) | (1 << 23) | (1 << 24)

section .text.enter progbits alloc exec nowrite align=4096

; _Noreturn void enter_vmm(uint64_t info, uint64_t entry, uint64_t page_tables)
;                              rdi            rsi              rdx
global enter_vmm:function hidden
enter_vmm:
	cli
	cld
	mov	r8, rdx
	mov	ecx, MSR_IA32_EFER
	rdmsr
	or	eax, EFER_NXE
	wrmsr
	mov	rax, cr4
	and	rax, ~(CR4_OFF)
	mov	cr4, rax
	mov	rax, cr0
	or	eax, CR0_WP
	mov	cr0, rax
	mov	cr3, r8
	; No stack from here on: the VMM brings its own.
	jmp	rsi
