; SPDX-License-Identifier: BSD-2-Clause
;
; More pieces of code as in fragments.asm: for tests about FRED, and some in compatibility mode.

bits 64
default rel

section .user_text

%macro fragment 1
global %1, %1.saved, %1.next
%1:
%endmacro

; RDI: MSR to write 0 to
fragment raise_wrmsr
	mov rcx, rdi
	xor eax, eax
	xor edx, edx
.saved:
	wrmsr
.next:
	ret

; LKGS of the selector 0
fragment raise_lkgs
	xor eax, eax
.saved:
	db 0xf2, 0x0f, 0x00, 0xf0
.next:
	ret

fragment raise_erets
.saved:
	db 0xf2, 0x0f, 0x01, 0xca
.next:
	ret

fragment raise_eretu
.saved:
	db 0xf3, 0x0f, 0x01, 0xca
.next:
	ret
