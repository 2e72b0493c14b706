/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest of the platform's self-test: a few pages, each mapped where it lies, flat segments,
 * FRED on. The VMM sets its state, lets it run up to one exit, and looks.
 */
#ifndef VMM_SELFTEST_PROBE_H
#define VMM_SELFTEST_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "vmm/fred/native.h"
#include "vmm/vcpu/vcpu.h"

/* Its pages: guest-physical and linear address are the number times PAGE_SIZE. */
enum probe_page {
	PROBE_CODE,
	PROBE_CODE_CR8, /* the handler that lowers CR8 */
	PROBE_PML4,
	PROBE_PDPT,
	PROBE_PD,
	PROBE_PT,
	PROBE_GDT,
	PROBE_STACK, /* of the code in either ring */
	PROBE_LEVEL0,
	PROBE_LEVEL3 = PROBE_LEVEL0 + 3,
	PROBE_SHADOW, /* the supervisor's shadow stack */
	PROBE_USER_SHADOW,
	PROBE_PAGES,
	PROBE_ABSENT, /* in no page table */
};
#define PROBE_ADDRESS(page) ((uint64_t)(page)*PAGE_SIZE)
#define PROBE_TOP(page)	    (PROBE_ADDRESS(page) + PAGE_SIZE)

/* IA32_STAR's selectors of the kernel, and of the user's flat segments behind this one. */
#define PROBE_KERNEL_CS 0x10U
#define PROBE_USER_BASE 0x23U

#define PROBE_STKLVLS                                                                         \
	(FRED_STKLVL(VECTOR_DB, 1) | FRED_STKLVL(VECTOR_NMI, 2) | FRED_STKLVL(VECTOR_DF, 3) | \
	 FRED_STKLVL(VECTOR_PF, 2))

/* checks.asm */
extern const uint8_t fred_check_entries[], fred_check_rdmsr[], fred_check_wrmsr[],
	fred_check_wrmsrns[], fred_check_int3[], fred_check_int1[], fred_check_int_n[],
	fred_check_syscall[], fred_check_ud2[], fred_check_read_rbx[], fred_check_sti_int3[],
	fred_check_lkgs[], fred_check_erets[], fred_check_eretu[], fred_check_lower_cr8[];

/* Make it, with the FRED method that machine.fred_method names. Its VMCS is current. */
struct vcpu *probe_create(const struct boot_info *boot);
void probe_destroy(struct vcpu *vcpu);

/* Where a piece of code is in the guest. */
uint64_t probe_address(const uint8_t *code);

/* The VMM's view of the guest's memory; NULL: it has none there. */
void *probe_memory(const struct vcpu *vcpu, uint64_t address);

/* Its FRED MSRs after probe_reset(): stack levels PROBE_STKLVLS, a page for each. */
struct fred_state probe_fred_state(void);

/* The same state for each check: RIP at this code in ring 0 or 3, and no frame on any stack. */
void probe_reset(struct vcpu *vcpu, unsigned int ring, const uint8_t *code);

/* Run up to the next exit. False: there was none, the instruction error in the VMCS says why. */
bool probe_run(struct vcpu *vcpu);

#endif
