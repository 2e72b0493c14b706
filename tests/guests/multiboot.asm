; SPDX-License-Identifier: BSD-2-Clause
; A Multiboot (version 1) kernel for the system tests: one flat file, loaded at
; 1 MiB by the addresses in its header. The first letter of its command line
; says what it does:
;   h          print the command line and the first module, end well
;   t          triple fault
;   a<number>  read the physical address <number> (hexadecimal)
; Anything that is not as the Multiboot specification 3.2 and 3.3 says ends badly.

%define LOAD_ADDRESS		0x100000
%define HEADER_MAGIC		0x1BADB002
%define HEADER_FLAGS		0x00010003	; addresses below; page-aligned modules; memory map
%define BOOT_MAGIC		0x2BADB002

; struct multiboot_info
%define INFO_FLAGS		0
%define INFO_CMDLINE		16
%define INFO_MODULE_COUNT	20
%define INFO_MODULES		24
%define INFO_MMAP_LENGTH	44
; memory, command line, modules, memory map
%define INFO_FLAGS_WANTED	((1 << 0) | (1 << 2) | (1 << 3) | (1 << 6))
%define MODULE_START		0
%define MODULE_END		4

; lib/hypercall.h
%define HYPERCALL_CONSOLE_WRITE	1
%define HYPERCALL_END		2

%define CR0_PE			(1 << 0)
%define CR0_PG			(1 << 31)

	org LOAD_ADDRESS
	bits 32

	align 4
header:
	dd HEADER_MAGIC
	dd HEADER_FLAGS
	dd -(HEADER_MAGIC + HEADER_FLAGS)
	dd header			; header_addr
	dd LOAD_ADDRESS			; load_addr
	dd load_end			; load_end_addr
	dd bss_end			; bss_end_addr
	dd entry			; entry_addr

entry:
	mov esp, stack_top
	cmp eax, BOOT_MAGIC
	jne bad
	mov ebp, ebx			; the information
	mov eax, cr0
	and eax, CR0_PE | CR0_PG
	cmp eax, CR0_PE			; protected mode without paging
	jne bad
	mov eax, [ebp + INFO_FLAGS]
	and eax, INFO_FLAGS_WANTED
	cmp eax, INFO_FLAGS_WANTED
	jne bad
	cmp dword [ebp + INFO_MMAP_LENGTH], 0
	je bad

	; Manfred hands on the text of manfred.cfg, without the kernel's name before it.
	mov esi, [ebp + INFO_CMDLINE]
	cmp byte [esi], 'h'
	je hello
	cmp byte [esi], 't'
	je triple_fault
	cmp byte [esi], 'a'
	je read_address
bad:
	mov esi, text_bad
	call print
	mov ebx, 1
	jmp end

hello:
	mov esi, text_cmdline
	call print
	mov esi, [ebp + INFO_CMDLINE]
	call print
	mov esi, text_newline
	call print
	cmp dword [ebp + INFO_MODULE_COUNT], 1
	jne bad
	mov esi, text_module
	call print
	mov edi, [ebp + INFO_MODULES]
	mov ebx, [edi + MODULE_START]
	mov ecx, [edi + MODULE_END]
	sub ecx, ebx
	mov eax, HYPERCALL_CONSOLE_WRITE
	vmcall
	mov esi, text_newline
	call print
	xor ebx, ebx
end:					; EBX: 0 is well
	mov eax, HYPERCALL_END
	vmcall
	cli				; it does not come back
	hlt

triple_fault:
	lidt [no_idt]
	ud2

read_address:				; the number after the letter
	inc esi
	xor ebx, ebx
.digit:
	movzx eax, byte [esi]
	inc esi
	sub eax, '0'
	jb .read
	cmp eax, 9
	jbe .add
	sub eax, 'a' - '0' - 10
.add:
	shl ebx, 4
	or ebx, eax
	jmp .digit
.read:
	mov eax, [ebx]
	mov esi, text_came_back
	call print
	mov ebx, 1
	jmp end

print:					; ESI: text that ends with a zero
	mov ebx, esi
	xor ecx, ecx
.count:
	cmp byte [ebx + ecx], 1
	inc ecx
	jnc .count
	dec ecx
	mov eax, HYPERCALL_CONSOLE_WRITE
	vmcall
	ret

text_bad	db "multiboot: not as specified", 10, 0
text_cmdline	db "multiboot: command line ", 0
text_module	db "multiboot: module ", 0
text_came_back	db "multiboot: the read came back", 10, 0
text_newline	db 10, 0
no_idt:
	dw 0
	dd 0
load_end:

absolute load_end
	resb 4096
stack_top:
bss_end:
