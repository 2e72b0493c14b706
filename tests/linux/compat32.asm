; SPDX-License-Identifier: BSD-2-Clause
; A 32-bit program: the letter in its first argument names one test of the table below. It ends
; with 0 when the test passed, with 1 when not, or with 100 + vector in a signal's handler.

bits 32
section .text

SYS_exit       equ 1
SYS_getpid     equ 20
SYS_sigaction  equ 67
AT_SYSINFO     equ 32
SIGILL	       equ 4
SIGTRAP	       equ 5
SIGFPE	       equ 8
SIGSEGV	       equ 11
RFLAGS_TF      equ 0x100
USER64_CS      equ 0x33
VECTOR_STATUS  equ 100
STATUS_FAILED  equ 1

; Of struct sigcontext_32, which lies behind the return address and the signal's number.
SIGCONTEXT     equ 8
SIGCONTEXT_BX  equ SIGCONTEXT + 32
SIGCONTEXT_TRAP equ SIGCONTEXT + 48
SIGCONTEXT_IP  equ SIGCONTEXT + 56

global _start
_start:
	mov	esi, [esp + 8]
	movzx	esi, byte [esi]
	jmp	[tests + (esi - 'a') * 4]

passed_if_equal:
	je	passed
	mov	ebx, STATUS_FAILED
	jmp	exit
passed:
	xor	ebx, ebx
exit:
	mov	eax, SYS_exit
	int	0x80

; INT 0x80 keeps all registers but EAX.
test_int80:
	mov	ebx, 0x11111111
	mov	ecx, 0x22222222
	mov	edx, 0x33333333
	mov	esi, 0x44444444
	mov	edi, 0x55555555
	mov	ebp, 0x66666666
	mov	eax, SYS_getpid
	int	0x80
	cmp	ebx, 0x11111111
	jne	passed_if_equal
	cmp	ecx, 0x22222222
	jne	passed_if_equal
	cmp	edx, 0x33333333
	jne	passed_if_equal
	cmp	esi, 0x44444444
	jne	passed_if_equal
	cmp	edi, 0x55555555
	jne	passed_if_equal
	cmp	ebp, 0x66666666
	jmp	passed_if_equal

; The kernel returns into its own code behind a SYSENTER, which undoes these pushes.
by_sysenter:
	push	ecx
	push	edx
	push	ebp
	mov	ebp, esp
	sysenter

test_sysenter:
	mov	eax, SYS_getpid
	int	0x80
	mov	edi, eax
	mov	eax, SYS_getpid
	call	by_sysenter
	cmp	eax, edi
	jmp	passed_if_equal

; The way that the C library takes: the kernel's entry in the auxiliary vector.
test_vsyscall:
	mov	eax, SYS_getpid
	int	0x80
	mov	edi, eax
	lea	esi, [esp + 4]
.environment:			; behind the arguments' and the environment's ends
	lodsd
	test	eax, eax
	jnz	.environment
.behind:
	lodsd
	test	eax, eax
	jnz	.behind
.auxiliary:
	lodsd
	mov	ecx, eax
	lodsd
	cmp	ecx, AT_SYSINFO
	jne	.auxiliary
	mov	ecx, eax
	mov	eax, SYS_getpid
	call	ecx
	cmp	eax, edi
	jmp	passed_if_equal

; Into 64-bit code and back; as 32-bit code the bytes would be DEC EAX and INC EAX.
test_far:
	xor	eax, eax
	call	USER64_CS:.code64
	cmp	eax, 1
	jmp	passed_if_equal
.code64:
	db	0x48, 0xff, 0xc0	; INC RAX
	retf

catch_all:
	mov	dword [action], catch
set_handlers:
	mov	ebx, SIGILL
	call	.set
	mov	ebx, SIGTRAP
	call	.set
	mov	ebx, SIGFPE
	call	.set
	mov	ebx, SIGSEGV
.set:
	mov	eax, SYS_sigaction
	mov	ecx, action
	xor	edx, edx
	int	0x80
	ret

catch:
	mov	ebx, [esp + SIGCONTEXT_TRAP]
	add	ebx, VECTOR_STATUS
	jmp	exit

test_into:
	call	catch_all
	mov	eax, 0x7fffffff
	add	eax, 1
	into
	jmp	passed

test_bound:
	call	catch_all
	mov	eax, 3
	bound	eax, [bounds]
	jmp	passed

test_int3:
	call	catch_all
	int3
	jmp	passed

test_fault:
	call	catch_all
	mov	[0x10], eax
	jmp	passed

test_divide:
	call	catch_all
	xor	ecx, ecx
	div	ecx
	jmp	passed

; SYSCALL in 32-bit code is #UD on Intel's processors.
test_syscall:
	call	catch_all
	mov	eax, SYS_getpid
	syscall
	jmp	passed

; The handler moves EIP over the UD2 and changes EBX: the return from the signal must do both.
test_return:
	mov	dword [action], .handler
	call	set_handlers
	xor	ebx, ebx
	ud2
	cmp	ebx, 77
	jmp	passed_if_equal
.handler:
	add	dword [esp + SIGCONTEXT_IP], 2
	mov	dword [esp + SIGCONTEXT_BX], 77
	ret

; Five instructions between the POPF that sets TF and the end of the one that clears it.
test_step:
	mov	dword [action], .handler
	call	set_handlers
	pushf
	or	dword [esp], RFLAGS_TF
	popf
	nop
	nop
	pushf
	and	dword [esp], ~RFLAGS_TF
	popf
	cmp	dword [steps], 5
	jmp	passed_if_equal
.handler:
	inc	dword [steps]
	ret

section .data
align 4
tests:
	dd test_int80, test_sysenter, test_vsyscall, test_far, test_into, test_bound, test_int3
	dd test_fault, test_divide, test_syscall, test_return, test_step
bounds:
	dd 0, 2
action:				; handler, mask, flags, restorer: the kernel's own
	dd 0, 0, 0, 0
steps:
	dd 0
