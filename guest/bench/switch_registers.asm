; SPDX-License-Identifier: BSD-2-Clause
;
; void switch_give_way(uint64_t spins, const uint64_t gprs[13], uint64_t found[13], uint64_t call):
; give way by this hypercall, or (spins != 0) run that long, with the values of `gprs` in all general
; registers but RAX, RCX and RSP; and tell what they hold then.

bits 64
default rel

global switch_give_way

section .text

switch_give_way:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	push rdx
	mov rax, rcx
	mov rcx, rdi
	mov rbx, [rsi]
	mov rdx, [rsi + 8]
	mov rdi, [rsi + 24]
	mov rbp, [rsi + 32]
	mov r8, [rsi + 40]
	mov r9, [rsi + 48]
	mov r10, [rsi + 56]
	mov r11, [rsi + 64]
	mov r12, [rsi + 72]
	mov r13, [rsi + 80]
	mov r14, [rsi + 88]
	mov r15, [rsi + 96]
	mov rsi, [rsi + 16]
	jrcxz .yield
.spin:
	dec rcx
	jnz .spin
	jmp .behind
.yield:
	vmcall
.behind:
	mov rax, [rsp]
	mov [rax], rbx
	mov [rax + 8], rdx
	mov [rax + 16], rsi
	mov [rax + 24], rdi
	mov [rax + 32], rbp
	mov [rax + 40], r8
	mov [rax + 48], r9
	mov [rax + 56], r10
	mov [rax + 64], r11
	mov [rax + 72], r12
	mov [rax + 80], r13
	mov [rax + 88], r14
	mov [rax + 96], r15
	pop rdx
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret
