; SPDX-License-Identifier: BSD-2-Clause
;
; Pieces of code that raise one event each, run by tests in ring 0 and ring 3. NAME.saved is the
; RIP that the handler must find, NAME.next where it goes on. RDI is an argument. RSP at the event
; is what it was at the start; no fragment touches another stack slot after it was started
; but raise_step.

bits 64
default rel

HYPERCALL_INJECT equ 4
RFLAGS_TF equ 0x100
USER_LEAVE_VECTOR equ 0xff

global user_leave

section .user_text

%macro fragment 1
global %1, %1.saved, %1.next
%1:
%endmacro

user_leave:
	int USER_LEAVE_VECTOR

fragment raise_int_n
	int 0x80
.saved:
.next:
	ret

fragment raise_int3
	int3
.saved:
.next:
	ret

fragment raise_int1
	db 0xf1
.saved:
.next:
	ret

fragment raise_ud2
.saved:
	ud2
.next:
	ret

; RDI: address to read: #PF or #GP
fragment raise_read
.saved:
	mov rax, [rdi]
.next:
	ret

fragment raise_step
	pushfq
	or qword [rsp], RFLAGS_TF
	popfq
	nop
.saved:
.next:
	ret

; RDI: interruption information of an event that the VMM is asked for; ring 0 only
fragment raise_injected
	mov r8, rbx
	mov eax, HYPERCALL_INJECT
	mov rbx, rdi
	xor ecx, ecx
	xor edx, edx
	xor esi, esi
	vmcall
.saved:
.next:
	mov rbx, r8
	ret

fragment raise_vmcall
.saved:
	vmcall
.next:
	ret

fragment raise_vmread
.saved:
	vmread rax, rax
.next:
	ret

; RDI: MSR to read
fragment raise_rdmsr
	mov rcx, rdi
.saved:
	rdmsr
.next:
	ret

; RDI: turns; an interrupt arrives on the way
fragment raise_wait
	dec rdi
	jnz raise_wait
.saved:
.next:
	ret
