; SPDX-License-Identifier: BSD-2-Clause
;
; The entry of the built-in guest, the entry points of its IDT, and the way to ring 3 and back.

bits 64
default rel

extern guest_main, guest_exception
extern kernel_rsp, fragment_rsp
global guest_start, exception_stubs, exception_return
global start_registers, bench_skip_ud2, main_stack_guard, tables_load, tables_load_second, fragment_run_ring0, fragment_run_ring3, fragment_left

%define PAGE_SIZE 0x1000
STACK_SIZE equ 4 * PAGE_SIZE
KERNEL_CODE equ 0x08
KERNEL_DATA equ 0x10
TASK_STATE equ 0x30
UD2_LENGTH equ 2

; Vectors where the processor pushes an error code: 8, 10 to 14, 17, 21.
%define ERROR_CODE_VECTORS ((1 << 8) | (0x1f << 10) | (1 << 17) | (1 << 21))

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

section .text

; RDI: struct selftest_info. The stack that we were given is not ours. All other registers are to be 0.
guest_start:
%assign i 8
%rep 8
	or rax, r%[i]
%assign i i + 1
%endrep
	or rax, rcx
	or rax, rdx
	or rax, rbx
	or rax, rbp
	or rax, rsi
	mov [start_registers], rax
	lea rsp, [main_stack_top]
	xor ebp, ebp
	call guest_main
	ud2

; void tables_load(const struct table_pointer *gdt, const struct table_pointer *idt)
; Of the first processor: a task state can have one only.
tables_load:
	call tables_load_second
	mov eax, TASK_STATE
	ltr ax
	ret

; The same for a second processor: no interrupt stack table, no ring 3.
tables_load_second:
	lgdt [rdi]
	lidt [rsi]
	mov eax, KERNEL_DATA
	mov ss, eax
	mov ds, eax
	mov es, eax
	pop rax
	push KERNEL_CODE
	push rax
	o64 retf

%assign vector 0
%rep 256
align 16
exception_stub_%[vector]:
%if vector >= 32 || ((ERROR_CODE_VECTORS >> vector) & 1) == 0
	push 0
%endif
	push vector
	jmp exception_common
%assign vector vector + 1
%endrep

exception_common:
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
	call guest_exception
	mov rdi, rsp
; void exception_return(const struct frame *frame): go on as the frame says.
exception_return:
	mov rsp, rdi
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
	iretq

; void fragment_run_ring0(const void *code, uint64_t argument)
fragment_run_ring0:
	push_callee_saved
	mov rax, rdi
	mov rdi, rsi
	lea rcx, [rsp - 8]
	mov [fragment_rsp], rcx
	call rax
	pop_callee_saved
	ret

; void fragment_run_ring3(const void *code, uint64_t argument, uint64_t user_rsp,
;                         uint64_t rflags)
; By SYSRET, which reads neither GDT nor TSS: a test may have taken them away.
fragment_run_ring3:
	push_callee_saved
	mov [kernel_rsp], rsp
	mov [fragment_rsp], rdx
	mov r11, rcx
	mov rcx, rdi
	mov rdi, rsi
	mov rsp, rdx
	o64 sysret

; Where guest_exception() goes on when ring 3 is done.
fragment_left:
	pop_callee_saved
	ret

; A handler of #UD for measuring: goes on behind UD2.
bench_skip_ud2:
	add qword [rsp], UD2_LENGTH
	iretq

section .rodata
align 8
exception_stubs:
%assign vector 0
%rep 256
	dq exception_stub_%[vector]
%assign vector vector + 1
%endrep

section .bss align=PAGE_SIZE
main_stack_guard:
	resb PAGE_SIZE
	resb STACK_SIZE
main_stack_top:
start_registers:
	resq 1
