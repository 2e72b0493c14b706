/* SPDX-License-Identifier: BSD-2-Clause */
/* Stores of a guest to its xAPIC's page, which exit while one of its vcpus waits to be started. */
#ifndef VMM_RUN_APIC_STORE_H
#define VMM_RUN_APIC_STORE_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/*
 * An EPT violation in the page of this guest-physical address: when it was a store to the local
 * APIC, it is carried out. False: it was none. Only the page counts: KVM, where it runs this VMM,
 * leaves the low 12 bits out.
 */
bool apic_store(struct vcpu *vcpu, uint64_t guest_physical);

#endif
