; SPDX-License-Identifier: BSD-2-Clause
; A Multiboot (version 1) kernel for the system tests: one flat file, loaded at
; 1 MiB by the addresses in its header. The first letter of its command line
; says what it does:
;   h          print the command line and the first module, end well
;   t          triple fault
;   u          leave the UART at COM1 as no line gets through, and reset the machine by the
;              keyboard controller's output port
;   a<number>  read the physical address <number> (hexadecimal)
;   g          close the A20 gate by each way that a PC has; it must stay open. End well
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

; The A20 gate: system control port A; the keyboard controller's output port and its command.
%define PORT_KEYBOARD_DATA	0x60
%define PORT_KEYBOARD_COMMAND	0x64
%define KEYBOARD_INPUT_FULL	(1 << 1)
%define KEYBOARD_POLLS		100000
%define KEYBOARD_WRITE_OUTPUT	0xd1
%define KEYBOARD_CLOSE_A20	0xdd
%define KEYBOARD_PULSE_A20	0xfd
%define OUTPUT_A20_CLOSED	0xdd		; of the output port: all but A20
%define PORT_SYSTEM_CONTROL_A	0x92
%define SYSTEM_CONTROL_A20	(1 << 1)
%define SYSTEM_CONTROL_RESET	(1 << 0)
; Two addresses of free RAM that differ in bit 20 only.
%define LOW_MEMORY		0x7000
%define HIGH_MEMORY		(LOW_MEMORY + (1 << 20))

%define COM1			0x3f8
%define UART_FIFO_CONTROL	2
%define UART_LINE_CONTROL	3
%define UART_DIVISOR_LATCH	0x80
%define UART_MODEM_CONTROL	4
%define UART_LOOP		0x10

%define KEYBOARD_DATA		0x60
%define KEYBOARD_COMMAND	0x64
%define KEYBOARD_INPUT_FULL	0x02
%define KEYBOARD_WRITE_OUTPUT	0xd1
%define KEYBOARD_OUTPUT_RESET	0xde	; bit 0 is 0

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
	cmp byte [esi], 'u'
	je spoil_uart
	cmp byte [esi], 'a'
	je read_address
	cmp byte [esi], 'g'
	je close_gate
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

spoil_uart:
	mov dx, COM1 + UART_LINE_CONTROL
	mov al, UART_DIVISOR_LATCH
	out dx, al
	mov dx, COM1			; the slowest speed
	mov al, 0xff
	out dx, al
	inc dx
	out dx, al
	mov dx, COM1 + UART_LINE_CONTROL
	xor al, al			; 5 bits
	out dx, al
	mov dx, COM1 + UART_FIFO_CONTROL
	out dx, al			; FIFOs off
	mov dx, COM1 + UART_MODEM_CONTROL
	mov al, UART_LOOP
	out dx, al
	mov al, KEYBOARD_WRITE_OUTPUT
	out KEYBOARD_COMMAND, al
.wait:
	in al, KEYBOARD_COMMAND
	test al, KEYBOARD_INPUT_FULL
	jnz .wait
	mov al, KEYBOARD_OUTPUT_RESET
	out KEYBOARD_DATA, al
	mov ebx, 1			; it does not come back
	jmp end

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

close_gate:
	in al, PORT_SYSTEM_CONTROL_A
	and al, ~(SYSTEM_CONTROL_A20 | SYSTEM_CONTROL_RESET)
	out PORT_SYSTEM_CONTROL_A, al
	mov esi, text_port_92
	call test_gate
	mov ax, (~SYSTEM_CONTROL_A20 & 0xfe) << 8
	mov edx, PORT_SYSTEM_CONTROL_A - 1
	out dx, ax			; its second byte is for the port
	mov esi, text_port_91
	call test_gate
	mov al, KEYBOARD_WRITE_OUTPUT
	call keyboard_command
	mov al, OUTPUT_A20_CLOSED
	out PORT_KEYBOARD_DATA, al
	call wait_for_keyboard
	mov esi, text_output_port
	call test_gate
	mov al, KEYBOARD_CLOSE_A20
	call keyboard_command
	mov esi, text_close
	call test_gate
	mov al, KEYBOARD_PULSE_A20
	call keyboard_command
	mov esi, text_pulse
	call test_gate
	xor ebx, ebx
	jmp end

keyboard_command:			; AL
	out PORT_KEYBOARD_COMMAND, al
wait_for_keyboard:
	mov ecx, KEYBOARD_POLLS
.again:
	in al, PORT_KEYBOARD_COMMAND
	test al, KEYBOARD_INPUT_FULL
	loopnz .again
	ret

test_gate:				; ESI: the way that was tried
	call print
	mov dword [LOW_MEMORY], 1
	mov dword [HIGH_MEMORY], 2
	cmp dword [LOW_MEMORY], 1
	jne .closed
	mov esi, text_open
	jmp print
.closed:
	mov esi, text_closed
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
text_port_92	db "multiboot: port 0x92: ", 0
text_port_91	db "multiboot: 16 bits to port 0x91: ", 0
text_output_port db "multiboot: D1H of the keyboard controller: ", 0
text_close	db "multiboot: DDH of the keyboard controller: ", 0
text_pulse	db "multiboot: FDH of the keyboard controller: ", 0
text_open	db "the A20 gate stays open", 10, 0
text_closed	db "the A20 gate is closed", 10, 0
no_idt:
	dw 0
	dd 0
load_end:

absolute load_end
	resb 4096
stack_top:
bss_end:
