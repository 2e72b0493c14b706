; SPDX-License-Identifier: BSD-2-Clause
;
; More pieces of code as in tests/vmm/fragments.asm: for tests about FRED, and some in compatibility mode.

bits 64
default rel

section .user_text

%macro fragment 1
global %1, %1.saved, %1.next
%1:
%endmacro

; RDI: MSR to write 0 to
fragment raise_wrmsr
	mov rcx, rdi
	xor eax, eax
	xor edx, edx
.saved:
	wrmsr
.next:
	ret

; LKGS of the selector 0
fragment raise_lkgs
	xor eax, eax
.saved:
	db 0xf2, 0x0f, 0x00, 0xf0
.next:
	ret

fragment raise_erets
.saved:
	db 0xf2, 0x0f, 0x01, 0xca
.next:
	ret

fragment raise_eretu
.saved:
	db 0xf3, 0x0f, 0x01, 0xca
.next:
	ret

LONGEST_INSTRUCTION equ 15

; length_NAME_N: an instruction with prefixes that mean nothing here, N bytes in all.
%macro lengths 3 ; name, bytes, how many those are
%assign length (%3) + 1
%rep 3
fragment length_%1_%[length]
	times length - (%3) - 1 db 0x2e
	db 0x48
	db %2
.saved:
.next:
	ret
%if length == (%3) + 1
%assign length (%3) + 4
%else
%assign length LONGEST_INSTRUCTION
%endif
%endrep
%endmacro

	lengths int_n, {0xcd, 0x80}, 2
	lengths int3, {0xcc}, 1
	lengths int1, {0xf1}, 1
	lengths syscall, {0x0f, 0x05}, 2
	lengths sysenter, {0x0f, 0x34}, 2

; ---- Far transfers of ring 3. They lead to INT 0x80 in return_user32 or return_user64. ----

SELECTOR_USER_DATA equ 0x23
SELECTOR_USER_CODE equ 0x2b
SELECTOR_CODE_32 equ 0x43 ; SELECTOR_TEST_1: flat compatibility mode code
SELECTOR_GATE equ 0x4b    ; SELECTOR_TEST_2: call gate
SELECTOR_DATA_32 equ 0x4b ; SELECTOR_TEST_2: flat data, for those that need no gate

extern return_user32, return_user64
global far_jmp_compat, far_call_compat, far_retf_compat, far_iret_compat
global far_jmp_back, far_retf_back, far_iret_back, far_iret_64, far_call_gate, far_jmp_gate

%macro push_iret_frame 2 ; selector, target
	mov rax, rsp
	push SELECTOR_USER_DATA
	push rax
	pushfq
	push %1
	push %2
%endmacro

far_jmp_compat:
	jmp far dword [compat_pointer]

far_call_compat:
	call far dword [compat_pointer]

far_retf_compat:
	push SELECTOR_CODE_32
	push return_user32
	o64 retf

far_iret_compat:
	push_iret_frame SELECTOR_CODE_32, return_user32
	iretq

far_iret_64:
	push_iret_frame SELECTOR_USER_CODE, return_user64
	iretq

far_jmp_back:
	jmp far dword [jmp_back_pointer]

far_retf_back:
	jmp far dword [retf_back_pointer]

far_iret_back:
	jmp far dword [iret_back_pointer]

far_call_gate:
	call far dword [gate_pointer]

far_jmp_gate:
	jmp far dword [gate_pointer]

compat_pointer:
	dd return_user32
	dw SELECTOR_CODE_32
jmp_back_pointer:
	dd jmp_back_32
	dw SELECTOR_CODE_32
retf_back_pointer:
	dd retf_back_32
	dw SELECTOR_CODE_32
iret_back_pointer:
	dd iret_back_32
	dw SELECTOR_CODE_32
gate_pointer:
	dd 0
	dw SELECTOR_GATE

bits 32
jmp_back_32:
	jmp SELECTOR_USER_CODE:return_user64

retf_back_32:
	push SELECTOR_USER_CODE
	push return_user64
	retf

iret_back_32:
	pushfd
	push SELECTOR_USER_CODE
	push return_user64
	iretd

; ---- Events of compatibility mode. EAX is free, DS flat where memory is needed. ----

%macro need_data 0
	mov eax, SELECTOR_DATA_32
	mov ds, eax
%endmacro

UNMAPPED_32 equ 0xff001234
NOT_PRESENT_SELECTOR equ 0x53 ; SELECTOR_TEST_3
BAD_SELECTOR equ 0xfffb       ; beyond the GDT
RFLAGS_OF equ 0x800

fragment compat_int_n
	int 0x80
.saved:
.next:
fragment compat_int_3
	db 0xcd, 0x03
.saved:
.next:
fragment compat_int_n_prefix
	db 0x66, 0xcd, 0x80
.saved:
.next:
fragment compat_int_n_prefixes
	db 0x2e, 0x3e, 0x66, 0xcd, 0x80
.saved:
.next:
; The longest that an instruction may be
fragment compat_int_n_longest
	times 13 db 0x66
	int 0x80
.saved:
.next:
fragment compat_int3
	int3
.saved:
.next:
fragment compat_int3_prefix
	db 0x2e, 0xcc
.saved:
.next:
fragment compat_int1
	db 0xf1
.saved:
.next:
fragment compat_into
	pushfd
	or dword [esp], RFLAGS_OF
	popfd
	into
.saved:
.next:
; Nothing to report: goes on to INT 0x80
fragment compat_into_clear
	xor eax, eax
	into
	int 0x80
.saved:
.next:
fragment compat_sysenter
	sysenter
.saved:
.next:
fragment compat_sysenter_prefix
	db 0x2e, 0x0f, 0x34
.saved:
.next:
fragment compat_syscall
.saved:
	db 0x0f, 0x05
.next:
fragment compat_ud2
.saved:
	ud2
.next:
fragment compat_de
	xor eax, eax
	xor edx, edx
.saved:
	div eax
.next:
fragment compat_gp
.saved:
	hlt
.next:
fragment compat_gp_selector
	mov eax, BAD_SELECTOR
.saved:
	mov ds, eax
.next:
fragment compat_np
	mov eax, NOT_PRESENT_SELECTOR
.saved:
	mov ds, eax
.next:
fragment compat_pf_read
	need_data
.saved:
	mov eax, [UNMAPPED_32]
.next:
fragment compat_pf_write
	need_data
.saved:
	mov [UNMAPPED_32], eax
.next:
fragment compat_pf_fetch
	mov eax, UNMAPPED_32
	jmp eax
.saved:
.next:
fragment compat_br
	need_data
	mov eax, -1
.saved:
	bound eax, [.bounds]
.next:
.bounds:
	dd 0, 1
fragment compat_erets
.saved:
	db 0xf2, 0x0f, 0x01, 0xca
.next:
fragment compat_eretu
.saved:
	db 0xf3, 0x0f, 0x01, 0xca
.next:
fragment compat_lkgs
.saved:
	db 0xf2, 0x0f, 0x00, 0xf0
.next:
fragment compat_swapgs
.saved:
	db 0x0f, 0x01, 0xf8
.next:
; All of GS's segment is there, no byte more: its limit is what LKGS loaded
fragment compat_gs_limit
	mov eax, [gs:0]
.saved:
	mov eax, [gs:4]
.next:
