; SPDX-License-Identifier: BSD-2-Clause
;
; Instructions that exit, in compatibility mode of ring 0: compat.c runs them through compat_run().
; Each is the last instruction below 4 GiB of its segment, so that RIP wraps behind it.

bits 64
default rel

SELECTOR_CODE_32 equ 0x40 ; SELECTOR_TEST_1: its base is behind the instruction
SELECTOR_KERNEL_CODE equ 0x08

global compat_run
global compat_cpuid, compat_cpuid.end, compat_vmcall, compat_vmcall.end
global compat_mov_cr0, compat_mov_cr0.end

section .text

; void compat_run(struct compat_regs *regs, uint64_t length): RAX, RBX, RCX, RDX are taken from *regs, and
; put back there.
compat_run:
	push rbx
	push rbp
	push rdi
	neg rsi
	mov esi, esi		; 4 GiB less the length
	push SELECTOR_CODE_32
	push rsi
	mov rax, [rdi]
	mov rbx, [rdi + 8]
	mov rcx, [rdi + 16]
	mov rdx, [rdi + 24]
	o64 retf

bits 32
%macro fragment 2+
compat_%1:
	%2
.end:
	jmp SELECTOR_KERNEL_CODE:compat_done
%endmacro
	fragment cpuid, cpuid
	fragment vmcall, vmcall
	fragment mov_cr0, mov cr0, eax

bits 64
compat_done:
	pop rdi
	mov [rdi], rax
	mov [rdi + 8], rbx
	mov [rdi + 16], rcx
	mov [rdi + 24], rdx
	pop rbp
	pop rbx
	ret
