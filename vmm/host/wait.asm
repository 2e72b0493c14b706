; SPDX-License-Identifier: BSD-2-Clause
;
; Waiting for an NMI, and letting NMIs come again.

bits 64
default rel

%include "offsets.inc"

global cpu_wait
global cpu_wait_begin
global cpu_wait_end
global cpu_unblock_nmis

section .text

; void cpu_wait(void). An NMI between the test and HLT would not end the wait: host_events.c sends one that
; hits this range back to its start.
cpu_wait:
cpu_wait_begin:
	cmp dword [gs:CPU_ARRIVED], 0
	jne cpu_wait_end
	hlt
cpu_wait_end:
	ret

; void cpu_unblock_nmis(void)
cpu_unblock_nmis:
	mov rax, rsp
	mov ecx, ss
	push rcx
	push rax
	pushfq
	mov ecx, cs
	push rcx
	lea rax, [.unblocked]
	push rax
	iretq
.unblocked:
	ret
