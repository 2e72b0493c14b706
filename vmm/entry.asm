; SPDX-License-Identifier: BSD-2-Clause
;
; The way between VMM and guest.

bits 64
default rel

%include "offsets.inc"
%include "vmm/base/registers.inc"

extern vcpu_entry_failed
extern vcpu_handle_exit
extern vcpu_handle_exit_traced
extern vcpu_handle_exit_watched
extern vcpu_prepare_entry

global vcpu_launch
global vcpu_launch_begin
global vcpu_launch_end
global vmexit_entry
global vmexit_entry_traced
global vmexit_entry_watched
global vcpu_resume
global vcpu_resume_begin
global vcpu_resume_end

; The way into the guest: %1 is VMLAUNCH or VMRESUME, RSP the registers.
;
; An NMI between the test of vcpu->work and %1 would wait for the next exit, which may never come.
; host_events.c sends an NMI that hits this range back to its start: the registers are still in memory, for
; the NMI has a stack of its own. So has an interrupt that comes although it must not.
%macro enter_guest 1
	cmp dword [rsp + VCPU_WORK], 0
	je %%enter
%%work:
	mov rdi, rsp
	call vcpu_prepare_entry
	test dword [rsp + VCPU_WORK], WORK_NMI_ARRIVED | WORK_INTERRUPT_ARRIVED | WORK_LOOK
	jnz %%work
%%enter:
	pop_registers
	%1
%endmacro

section .text

; void vcpu_launch(struct vcpu *): the first entry of a VMCS.
vcpu_launch:
	mov rsp, rdi
vcpu_launch_begin:
	enter_guest vmlaunch
vcpu_launch_end:
	jmp entry_failed

; void vcpu_resume(struct vcpu *): every other entry that does not follow from an exit of the same
; vcpu.
vcpu_resume:
	mov rsp, rdi
	jmp vcpu_resume_begin

; HOST_RIP. RBP stays the guest's: a backtrace ends where it leaves the VMM's memory.
; HOST_RSP is the end of vcpu->regs, which is the start of the struct.
align 16
vmexit_entry:
	push_registers
	mov rdi, rsp
	call vcpu_handle_exit

vcpu_resume_begin:
	enter_guest vmresume
vcpu_resume_end:

entry_failed:
	push_registers
	mov rdi, rsp
	call vcpu_entry_failed
	ud2

align 16
vmexit_entry_traced:
	push_registers
	mov rdi, rsp
	call vcpu_handle_exit_traced
	jmp vcpu_resume_begin

align 16
vmexit_entry_watched:
	push_registers
	mov rdi, rsp
	call vcpu_handle_exit_watched
	jmp vcpu_resume_begin
