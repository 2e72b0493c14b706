/* SPDX-License-Identifier: BSD-2-Clause */
/* New vcpus, and what a reset or SIPI makes of one. All work on the current VMCS. */
#ifndef VMM_RUN_CREATE_H
#define VMM_RUN_CREATE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/x86/vmx.h"

struct mode64;
struct vcpu;
struct vm;

/* What the vcpus of a VM share: who gives it FRED, bitmaps, EPT. Before the first vcpu. */
void vm_prepare(struct vm *vm);

/* Make a vcpu of this VM on this processor, its VMCS current, in the state of a processor after
 * INIT but for what the guest's loader sets. */
struct vcpu *vcpu_create(struct vm *vm, uint32_t index);

/* reset.c: the guest state of the current VMCS as after a reset. */
void vcpu_set_reset_state(struct vcpu *vcpu);

/* What INIT makes of the current vcpu, but for where it goes on: run/startup.c. */
void vcpu_reset(struct vcpu *vcpu);

/* Make the vcpu's VMCS new and current, as vcpu_create() leaves it. */
void vcpu_vmcs_init(struct vcpu *vcpu);
/* Its VMCS is not in use any more: the processor has written back all of it. */
void vcpu_vmcs_clear(const struct vcpu *vcpu);

/* Bytes that a vcpu takes, with its stack. */
size_t vcpu_memory_size(void);

/* GDT for a guest's first instructions: the selectors of the Linux boot protocol, 0x10 and 0x18. */
#define BOOT_GDT_SIZE 32
void boot_gdt_write(uint64_t gdt[BOOT_GDT_SIZE / sizeof(uint64_t)]);

void vcpu_set_mode64(const struct vcpu *vcpu, const struct mode64 *mode);

/* Start in 32-bit protected mode without paging. */
void vcpu_set_mode32(uint32_t rip);

#endif
