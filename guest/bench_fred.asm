; SPDX-License-Identifier: BSD-2-Clause
;
; The shortest handlers there are for FRED's events of ring 0: pages for IA32_FRED_CONFIG.

bits 64
default rel

global bench_fred_return, bench_fred_skip

ENTRY_RING0 equ 0x100
FRAME_RIP equ 8
MEASURED_LENGTH equ 3 ; of the instruction that faults in bench.c

%macro erets 0
	db 0xf2, 0x0f, 0x01, 0xca
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
