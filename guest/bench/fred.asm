; SPDX-License-Identifier: BSD-2-Clause
;
; The shortest handlers there are for FRED's events: pages for IA32_FRED_CONFIG; and what they are
; measured with.

bits 64
default rel

global bench_fred_return, bench_fred_skip, bench_fred_stamp
global bench_run_ring0, bench_run_ring3
global bench_int3, bench_sti, bench_syscall, bench_load

ENTRY_RING0 equ 0x100
FRAME_RIP equ 8
MEASURED_LENGTH equ 3 ; of the instruction that faults in exits.c, and of that in bench_load
USER_DATA equ 0x23
USER_CODE equ 0x2b
RFLAGS_RESERVED equ 2
VECTOR_USER_LEAVE equ 0xff
UNMAPPED_ADDRESS equ 0x700000001238

%macro erets 0
	db 0xf2, 0x0f, 0x01, 0xca
%endmacro
%macro eretu 0
	db 0xf3, 0x0f, 0x01, 0xca
%endmacro

section .text

; Events of ring 3 would enter at the start of a page: there are none.
align 4096, db 0xcc
bench_fred_return:
	ud2
	times ENTRY_RING0 - ($ - bench_fred_return) int3
	erets

align 4096, db 0xcc
bench_fred_skip:
	ud2
	times ENTRY_RING0 - ($ - bench_fred_skip) int3
	add qword [rsp + FRAME_RIP], MEASURED_LENGTH
	erets

; ---- An event and the return from it, with the time at three points: before the instruction that
; raises it (R8), at its handler's first one (R9), behind the return (RCX). Each RDTSC begins a new
; run of instructions, by an event, a return or a jump: see read_tsc(). ----

; R10 is added to the saved RIP. The second event of ring 3 (RBX counts) is the way back.
align 4096, db 0xcc
bench_fred_stamp:
	rdtsc
	dec ebx
	js left
	mov r9d, eax
	add [rsp + FRAME_RIP], r10
	eretu
	times ENTRY_RING0 - ($ - bench_fred_stamp) int3
	rdtsc
	mov r9d, eax
	add [rsp + FRAME_RIP], r10
	erets

%macro run 0
	push rbx
	push rsi
	mov [return_rsp], rsp
	mov ebx, 1
	xor r10d, r10d
%endmacro

; void bench_run_ring0(const char *code, struct bench_times *times)
bench_run_ring0:
	run
	jmp rdi

; The same.
bench_run_ring3:
	run
	push 0
	push 0
	push USER_DATA
	push 0
	push RFLAGS_RESERVED
	push USER_CODE
	push rdi
	push 0
	eretu

left:
	mov rsp, [return_rsp]
	pop rsi
	pop rbx
	mov [rsi], r8d
	mov [rsi + 4], r9d
	mov [rsi + 8], ecx
	ret

%macro begin 0
	jmp %%begin
%%begin:
	rdtsc
	mov r8d, eax
%endmacro

%macro finish 0
	jmp %%end
%%end:
	rdtsc
	mov ecx, eax
%endmacro

bench_int3:
	begin
	int3
	finish
	jmp left

; An interrupt waits: it comes behind the NOP.
bench_sti:
	begin
	sti
	nop
	finish
	cli
	jmp left

section .user_text

bench_syscall:
	begin
	syscall
	finish
	int VECTOR_USER_LEAVE

bench_load:
	mov rdx, UNMAPPED_ADDRESS
	mov r10d, MEASURED_LENGTH
	begin
	mov rax, [rdx]
	finish
	int VECTOR_USER_LEAVE

section .bss
return_rsp: resq 1
