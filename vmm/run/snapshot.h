/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of a vcpu as one versioned struct: all that a guest could miss when its vcpu is
 * destroyed and made again, the event that waits to be delivered with its event data included.
 * Memory and devices are not part of it. See docs/fred.md.
 */
#ifndef VMM_RUN_SNAPSHOT_H
#define VMM_RUN_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/fred/native.h"
#include "vmm/vcpu/context.h"
#include "vmm/vcpu/vcpu.h"

#define SNAPSHOT_MAGIC	 0x73757063566e614dULL /* "ManVcpus" */
#define SNAPSHOT_VERSION 3U
#define SNAPSHOT_XSAVE	 16384 /* bytes; AMX is the largest state there is, with 8 KiB */

/* The guest state of the VMCS, in the order of the list. */
enum saved_field {
#define SAVE_CONTROL(name)
#define SAVE_EXIT_INFO(name)
#define SAVE_HOST(name)
#define SAVE_UNUSED(name)
#define SAVE_GUEST(name)	     SAVED_##name,
#define FIELD(name, encoding, group) SAVE_##group(name)
#include "lib/x86/vmcs_fields.h"
#undef FIELD
#undef SAVE_GUEST
#undef SAVE_UNUSED
#undef SAVE_HOST
#undef SAVE_EXIT_INFO
#undef SAVE_CONTROL
	SAVED_COUNT
};

struct vcpu_snapshot {
	uint64_t magic;
	uint32_t version;
	uint32_t size; /* bytes, of the whole struct */

	struct guest_regs regs;
	uint64_t fields[SAVED_COUNT];	 /* 0 where the processor has no such field */
	uint64_t cr0_shadow, cr4_shadow; /* what the guest reads of bits that it does not own */
	uint64_t cr8;
	struct switched switched;
	uint32_t exception_bitmap; /* what the guest has asked to be reflected */
	struct fred_state fred;

	/* What waits to be delivered: WORK_EVENT, WORK_NMI, WORK_INTERRUPT say what of it. */
	uint32_t work;
	uint32_t event_info; /* as the VM-entry interruption information: type, vector, nested... */
	uint32_t event_error_code;
	uint32_t event_instruction_length;
	uint64_t event_data;
	uint64_t pending_interrupts[4];

	uint32_t timer_armed; /* 0 or 1 */
	uint32_t timer_vector;
	uint64_t timer_left; /* TSC ticks */
	uint64_t steps_left;

	uint8_t xsave[SNAPSHOT_XSAVE] __attribute__((aligned(64))); /* standard format */
};

/* Can the state of vcpus be saved on this machine? It takes XSAVE. */
bool snapshot_possible(void);

/* The vcpu's VMCS is the current one, its guest not running; nothing of it is changed. */
void vcpu_save(struct vcpu *vcpu, struct vcpu_snapshot *snapshot);

/*
 * Give a vcpu that vcpu_create() or vcpu_vmcs_init() has just made this state. Returns NULL, or in
 * words what is wrong with the snapshot; the vcpu must not run then.
 */
const char *vcpu_restore(struct vcpu *vcpu, const struct vcpu_snapshot *snapshot);

/*
 * event_prepare_entry() with WORK_SNAPSHOT. When the exit has interrupted the delivery of an event,
 * the vcpu is saved, destroyed with every register that it has, made again from the snapshot, and
 * entered; else this waits for such an exit.
 */
void snapshot_prepare_entry(struct vcpu *vcpu);

#endif
