; SPDX-License-Identifier: BSD-2-Clause
;
; The entry points of FRED, and the ways back: ERETS and ERETU as bytes, since assemblers of
; today take the names for labels or do not know them.

bits 64
default rel

extern fred_event, fred_fragment_stack, kernel_rsp, fragment_rsp, fragment_left, catch_resume
global fred_entry_page, fred_plain_entry_page, fred_tracked_entry_page, fred_leave_user, fred_run_ring0, fred_run_ring3
global fred_try_erets, fred_try_eretu, fred_returned
global fred_erets_instruction, fred_eretu_instruction

%define PAGE_SIZE 0x1000
ENTRY_RING0 equ 0x100
USER_DATA equ 0x23
USER_CODE equ 0x2b
FRAME_SIZE equ 64
FRAME_CS equ 16 ; offset in the frame

%macro erets 0
	db 0xf2, 0x0f, 0x01, 0xca
%endmacro
%macro eretu 0
	db 0xf3, 0x0f, 0x01, 0xca
%endmacro

%macro push_callee_saved 0
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
%endmacro

%macro pop_callee_saved 0
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
%endmacro

; FRED_REGISTER of fred.h in all but RAX, RDI and RSP: 1 is RCX, 2 RDX... as processors number them.
%macro load_registers 0
	mov ecx, 0x52470001
	mov edx, 0x52470002
	mov ebx, 0x52470003
	mov ebp, 0x52470005
	mov esi, 0x52470006
	mov r8d, 0x52470008
	mov r9d, 0x52470009
	mov r10d, 0x5247000a
	mov r11d, 0x5247000b
	mov r12d, 0x5247000c
	mov r13d, 0x5247000d
	mov r14d, 0x5247000e
	mov r15d, 0x5247000f
%endmacro

section .text

; The CLI is for processors that let an interrupt in although delivery has cleared IF.
%macro entry 1
	endbr64
	push %1
	pushfq
	cli
	jmp event
%endmacro

align PAGE_SIZE, db 0xcc
fred_entry_page:
	entry 3
	times ENTRY_RING0 - ($ - fred_entry_page) db 0xcc
	entry 0

; The page is the entry points' own: taking it away must not take away what ends a test.
	times PAGE_SIZE - ($ - fred_entry_page) db 0xcc

; Others, without CLI: for a test of what delivery does to interrupts.
%macro plain_entry 1
	push %1
	pushfq
	jmp event
%endmacro

fred_plain_entry_page:
	plain_entry 3
	times ENTRY_RING0 - ($ - fred_plain_entry_page) db 0xcc
	plain_entry 0
	times PAGE_SIZE - ($ - fred_plain_entry_page) db 0xcc

; And here ring 3 enters at an INT3, which goes through whatever branch tracking waits for; its frame
; tells what that is.
fred_tracked_entry_page:
	int3
	plain_entry 3
	times ENTRY_RING0 - ($ - fred_tracked_entry_page) db 0xcc
	entry 0
	times PAGE_SIZE - ($ - fred_tracked_entry_page) db 0xcc
event:
	push r15
	push r14
	push r13
	push r12
	push r11
	push r10
	push r9
	push r8
	push rdi
	push rsi
	push rbp
	push rbx
	push rdx
	push rcx
	push rax
	cld
	mov rdi, rsp
	call fred_event
	mov rsp, rax
	pop rax
	pop rcx
	pop rdx
	pop rbx
	pop rbp
	pop rsi
	pop rdi
	pop r8
	pop r9
	pop r10
	pop r11
	pop r12
	pop r13
	pop r14
	pop r15
	add rsp, 16
	test byte [rsp + FRAME_CS], 3
	jnz .user
	erets
.user:
	eretu

; Behind fred_run_ring3() or fred_try_eretu(), in ring 0 at level 0.
fred_leave_user:
	mov rsp, [kernel_rsp]
	jmp fragment_left

; void fred_run_ring0(const char *code, uint64_t argument)
fred_run_ring0:
	push_callee_saved
	mov rax, rdi
	mov rdi, rsi
	mov rcx, rsp
	mov rdx, [fred_fragment_stack]
	test rdx, rdx
	cmovnz rsp, rdx
	push rcx
	lea rcx, [rsp - 8]
	mov [fragment_rsp], rcx
	load_registers
	call rax
	pop rsp
	pop_callee_saved
	ret

; void fred_run_ring3(const char *code, uint64_t argument, uint64_t user_rsp, uint64_t rflags)
fred_run_ring3:
	push_callee_saved
	mov [kernel_rsp], rsp
	mov [fragment_rsp], rdx
	push 0
	push 0
	push USER_DATA
	push rdx
	push rcx
	push USER_CODE
	push rdi
	push 0
	mov rdi, rsi
	load_registers
	eretu

; void fred_try_erets(const struct fred_frame *frame), fred_try_eretu
%macro try 1
	push_callee_saved
	mov [kernel_rsp], rsp
	lea rax, [fred_returned]
	mov [catch_resume], rax
	mov rsp, rdi
	xor edi, edi
fred_%1_instruction:
	%1
%endmacro

fred_try_erets:
	try erets
fred_try_eretu:
	try eretu

fred_returned:
	mov rsp, [kernel_rsp]
	push 2
	popfq
	jmp fragment_left
