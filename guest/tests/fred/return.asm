; SPDX-License-Identifier: BSD-2-Clause
;
; Where ERETS and ERETU lead when tests try them on frames of their own.

bits 64
default rel

extern kernel_rsp, fred_returned, return_landed
global return_landing, return_landing_next
global return_ud2
global return_user_nop, return_user64, return_user64_saved, return_user_gs, return_user_gs_saved
global return_user_ssp, return_user_ssp_saved
global return_user32, return_user32_saved

MSR_IA32_FRED_CONFIG equ 0x1d4
RFLAGS_RESERVED equ 2
VECTOR_SOFTWARE equ 0x80

; struct return_landed
LANDED_COUNT equ 0
LANDED_RSP equ 8
LANDED_RFLAGS equ 16
LANDED_CS equ 24
LANDED_SS equ 32
LANDED_CONFIG equ 40

section .text

; Nothing before PUSHF changes a flag or needs the stack that RSP names.
return_landing:
	mov [return_landed + LANDED_RSP], rsp
return_landing_next:
	mov rsp, [kernel_rsp]
	pushfq
	pop qword [return_landed + LANDED_RFLAGS]
	push RFLAGS_RESERVED
	popfq
	inc qword [return_landed + LANDED_COUNT]
	mov [return_landed + LANDED_CS], cs
	mov [return_landed + LANDED_SS], ss
	mov ecx, MSR_IA32_FRED_CONFIG
	rdmsr
	mov [return_landed + LANDED_CONFIG], eax
	mov [return_landed + LANDED_CONFIG + 4], edx
	jmp fred_returned

; ERETS leads to an event.
return_ud2:
	ud2

section .user_text

return_user_gs:
	rdgsbase rax
	int VECTOR_SOFTWARE
return_user_gs_saved:

return_user_nop:
	nop
return_user64:
	int VECTOR_SOFTWARE
return_user64_saved:
	ud2

; One entry off the user's shadow stack, then SSP in RAX
return_user_ssp:
	mov ecx, 1
	incsspq rcx
	rdsspq rax
	int VECTOR_SOFTWARE
return_user_ssp_saved:

bits 32
return_user32:
	int VECTOR_SOFTWARE
return_user32_saved:
	ud2
