; SPDX-License-Identifier: BSD-2-Clause
; Code that is single-stepped, with a label wherever a step may end.

bits 64
default rel
section .text

RFLAGS_TF     equ 0x100
SYS_getpid    equ 39
SYS_exit_group equ 231
SYS_getpid_32 equ 20

; Sets TF, runs step_code, clears TF.
global step_by_flag
step_by_flag:
	pushf
	or	qword [rsp], RFLAGS_TF
	popf
	call	step_code
.back:
	pushf
.and:
	and	qword [rsp], ~RFLAGS_TF
.popf:
	popf
.end:
	ret

global step_code, step_code_end, step_behind_syscall, step_behind_int
step_code:
	nop
.mov:
	mov	eax, SYS_getpid
.syscall:
	syscall
step_behind_syscall:
	nop
.mov:
	mov	eax, SYS_getpid_32
.int:
	int	0x80
step_behind_int:
	nop
step_code_end:
	ret

; A tracee: stops at INT3 with 1 in EBX, and ends with what EBX is then.
global step_exit, step_exit_stop
step_exit:
	mov	ebx, 1
	int3
step_exit_stop:
	mov	edi, ebx
	mov	eax, SYS_exit_group
	syscall

section .rodata
; Where the steps of step_by_flag end, in order, and 0.
align 8
global step_points
step_points:
	dq step_code, step_code.mov, step_code.syscall, step_behind_syscall
	dq step_behind_syscall.mov, step_behind_syscall.int, step_behind_int, step_code_end
	dq step_by_flag.back, step_by_flag.and, step_by_flag.popf, step_by_flag.end, 0

section .note.GNU-stack noalloc noexec nowrite progbits
