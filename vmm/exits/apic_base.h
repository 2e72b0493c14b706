/* SPDX-License-Identifier: BSD-2-Clause */
/* IA32_APIC_BASE of a guest that has the machine's local APICs. */
#ifndef VMM_EXITS_APIC_BASE_H
#define VMM_EXITS_APIC_BASE_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* RDMSR of a vcpu whose APIC is off: only then it exits. */
uint64_t apic_base_read(void);

/* WRMSR. False: #GP. */
bool apic_base_write(struct vcpu *vcpu, uint64_t value);

#endif
