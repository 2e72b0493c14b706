/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls by which a test reaches into the VMM: events of its choice, single steps, snapshots,
 * intercepted exceptions, what the VMM has counted and recorded. They are for guests whose section
 * of manfred.cfg has test_services = on, which only the built-in guest has by default.
 */
#ifndef VMM_EXITS_TEST_SERVICES_H
#define VMM_EXITS_TEST_SERVICES_H

struct vcpu;

/* One of them, with its number in the guest's RAX; the result. */
long test_service(struct vcpu *vcpu);

#endif
