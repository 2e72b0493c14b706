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
RFLAGS_IF equ 0x200
RFLAGS_AC equ 0x40000
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

; INT with these vectors: none of them means what it would as an exception.
%macro int_vector 1
fragment raise_int_%1
	int 0x%1
.saved:
.next:
	ret
%endmacro
int_vector 00
int_vector 01
int_vector 02
int_vector 03
int_vector 08
int_vector 0e
int_vector 20
int_vector ff

fragment raise_syscall
	syscall
.saved:
.next:
	ret

fragment raise_sysenter
	sysenter
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

; RDI: address to write
fragment raise_write
.saved:
	mov [rdi], rax
.next:
	ret

; RDI: address where execution goes on, which must not be possible: RIP is found there
fragment raise_fetch
.saved:
	jmp rdi
.next:
	ret

fragment raise_de
	xor ecx, ecx
.saved:
	div ecx
.next:
	ret

; RDI: what must be added to RSP for an address that is none
fragment raise_ss
.saved:
	mov rax, [rsp + rdi]
.next:
	ret

; RDI: selector
fragment raise_load_es
.saved:
	mov es, edi
.next:
	ret

; CR0.TS is set.
fragment raise_nm
.saved:
	fnop
.next:
	ret

fragment raise_mf
	fninit
	fldcw [unmasked_x87]
	fld1
	fldz
	fdivp
.saved:
	fwait
.next:
	fninit
	ret

fragment raise_xm
	ldmxcsr [unmasked_mxcsr]
	xorps xmm0, xmm0
.saved:
	divss xmm0, xmm0
.next:
	ldmxcsr [masked_mxcsr]
	ret

; RDI: address that is not a multiple of 4
fragment raise_ac
	pushfq
	or qword [rsp], RFLAGS_AC
	popfq
.saved:
	mov eax, [rdi]
.next:
	pushfq
	and qword [rsp], ~RFLAGS_AC
	popfq
	ret

; There is a breakpoint at .saved.
fragment raise_breakpoint
	nop
.saved:
	nop
.next:
	ret

; There is a watchpoint at RDI.
fragment raise_watchpoint
	mov [rdi], rax
.saved:
.next:
	ret

; DR7.GD is set.
fragment raise_gd
.saved:
	mov rax, dr7
.next:
	ret

; An interrupt is pending; ring 0.
fragment raise_interrupt
	sti
	nop
.saved:
.next:
	cli
	ret

; RDI: bytes that RSP is lowered by
fragment raise_ud2_lower
	sub rsp, rdi
.saved:
	ud2
.next:
	add rsp, rdi
	ret

; Single steps: the event with TF set, and the #DB, which comes when .saved or .stepped is reached.
%macro step_over 2+
fragment %1
global %1.stepped
	pushfq
	or qword [rsp], RFLAGS_TF
	popfq
	%2
.saved:
	nop
.stepped:
.next:
	nop
	ret
%endmacro
step_over step_int_n, int 0x80
step_over step_syscall, syscall
step_over step_sysenter, sysenter
step_over step_int3, int3
step_over step_int1, db 0xf1

fragment step_ud2
global step_ud2.stepped
	pushfq
	or qword [rsp], RFLAGS_TF
	popfq
.saved:
	ud2
.next:
	nop
.stepped:
	nop
	ret

; The step ends HLT.
fragment step_hlt
	pushfq
	or qword [rsp], RFLAGS_TF | RFLAGS_IF
	popfq
	hlt
.saved:
	nop
.next:
	cli
	ret

; RDI: information of an interrupt, which waits when the step is over
fragment step_vmcall
	mov rbx, rdi
	xor ecx, ecx
	xor edx, edx
	xor esi, esi
	mov eax, HYPERCALL_INJECT
	pushfq
	or qword [rsp], RFLAGS_TF | RFLAGS_IF
	popfq
	vmcall
.saved:
	nop
.next:
	cli
	ret

unmasked_x87:
	dw 0x0300
align 4, db 0xcc
unmasked_mxcsr:
	dd 0
masked_mxcsr:
	dd 0x1f80

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

; RDI: RBX, RCX, RDX and RSI of HYPERCALL_INJECT; ring 0 only. Behind it is room for the instruction
; that a software event claims to be.
fragment raise_any
	mov rbx, [rdi]
	mov rcx, [rdi + 8]
	mov rdx, [rdi + 16]
	mov rsi, [rdi + 24]
	mov eax, HYPERCALL_INJECT
	vmcall
.saved:
	times 15 nop
.next:
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
