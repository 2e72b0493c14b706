; SPDX-License-Identifier: BSD-2-Clause
; The first instructions of the kernel smp: of its first processor by Multiboot,
; of the others by SIPI, in a page below 1 MiB that smp.c copies them to. These
; write down what they find, in struct record, before they change anything.

%define HEADER_MAGIC	0x1BADB002
%define HEADER_FLAGS	0x00000002	; memory map; the ELF header has the addresses
%define CR0_PE		1
%define STACK_SHIFT	12		; log2 of STACK_SIZE in smp.c
%define RECORD		0x7000		; below 64 KiB, in the data segment after INIT
%define REAL_STACK	0x7f00

struc record
.registers	resd 8			; EAX ECX EDX EBX ESP EBP ESI EDI
.eflags		resd 1
.cr0		resd 1
.cr2		resd 1
.cr3		resd 1
.cr4		resd 1
.dr6		resd 1
.dr7		resd 1
.ip		resd 1
.selectors	resd 6			; CS DS ES SS FS GS
.last_byte	resd 1
.gdt_limit	resw 1
.gdt_base	resd 1
.idt_limit	resw 1
.idt_base	resd 1
.starts		resd 1
endstruc

global ap_page_begin, ap_page_end, ap_by_cs, interrupt_stubs
extern main, ap_main, stacks, gdt_pointer

section .header
	align 4
	dd HEADER_MAGIC
	dd HEADER_FLAGS
	dd -(HEADER_MAGIC + HEADER_FLAGS)

section .text
bits 32
global entry
entry:
	mov esp, stacks + (1 << STACK_SHIFT)
	lgdt [gdt_pointer]
	call load_segments
	push ebx			; the Multiboot information
	call main
	cli				; it does not come back
	hlt

load_segments:
	jmp 8:.code
.code:
	mov eax, 16
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov fs, eax
	mov gs, eax
	ret

bits 16
ap_page_begin:
	mov [RECORD + record.registers + 0], eax
	mov [RECORD + record.registers + 4], ecx
	mov [RECORD + record.registers + 8], edx
	mov [RECORD + record.registers + 12], ebx
	mov [RECORD + record.registers + 16], esp
	mov [RECORD + record.registers + 20], ebp
	mov [RECORD + record.registers + 24], esi
	mov [RECORD + record.registers + 28], edi
	mov sp, REAL_STACK
	pushfd
	pop dword [RECORD + record.eflags]
	call .here
.here:
	pop ax
	sub ax, .here - ap_page_begin	; where the first instruction was
	movzx eax, ax
	mov [RECORD + record.ip], eax
	mov eax, cr0
	mov [RECORD + record.cr0], eax
	mov eax, cr2
	mov [RECORD + record.cr2], eax
	mov eax, cr3
	mov [RECORD + record.cr3], eax
	mov eax, cr4
	mov [RECORD + record.cr4], eax
	mov eax, dr6
	mov [RECORD + record.dr6], eax
	mov eax, dr7
	mov [RECORD + record.dr7], eax
%assign i 0
%rep 6
%if i == 0
	mov ax, cs
%elif i == 1
	mov ax, ds
%elif i == 2
	mov ax, es
%elif i == 3
	mov ax, ss
%elif i == 4
	mov ax, fs
%else
	mov ax, gs
%endif
	movzx eax, ax
	mov [RECORD + record.selectors + 4 * i], eax
%assign i i + 1
%endrep
	movzx eax, byte [gs:0xffff]	; the limit is 64 KiB: no fault
	mov [RECORD + record.last_byte], eax
	sgdt [RECORD + record.gdt_limit]
	sidt [RECORD + record.idt_limit]
	; The code segment can be written: its rights are those of data (SDM 3A, table 10-1).
	mov byte [cs:.written - ap_page_begin], 1
	o32 lgdt [cs:.gdt - ap_page_begin]
	mov eax, cr0
	or al, CR0_PE
	mov cr0, eax
	jmp dword 8:ap_start32
.gdt:
	dw 3 * 8 - 1
	dd gdt
.written:
	db 0
ap_page_end:

bits 32
ap_start32:
	mov eax, 16
	mov ds, eax
	mov es, eax
	mov ss, eax
	lock inc dword [RECORD + record.starts]
	mov eax, 1
	cpuid
	shr ebx, 24			; the APIC ID
	lea esp, [ebx + 1]
	shl esp, STACK_SHIFT
	add esp, stacks
	push ebx
	call ap_main
	cli				; it does not come back
	hlt

section .data
	align 8
gdt:
	dq 0
	dq 0x00cf9b000000ffff		; flat code of 32 bits
	dq 0x00cf93000000ffff		; flat data
	global gdt
