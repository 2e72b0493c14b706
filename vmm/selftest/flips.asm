; SPDX-License-Identifier: BSD-2-Clause
;
; The way into the guests of the flip test (flips.c) and back. Unlike other exits this one counts on
; nothing that the host state may have wrong by a bit: not on RSP, not on the GS base.

bits 64
default rel

global flip_enter
global flip_exit

section .text

; bool flip_enter(bool launched)
; Back at the next exit: true. False: VMfail. The guest's general registers are the caller's, since it
; executes an instruction at most.
flip_enter:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [caller_rsp], rsp
	test dil, dil
	jnz .again
	vmlaunch
	jmp .failed
.again:
	vmresume
.failed:
	xor eax, eax
	jmp back

flip_exit:
	mov eax, 1
back:
	mov rsp, [caller_rsp]
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

section .bss

caller_rsp:
	resq 1
