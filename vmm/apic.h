/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC of this processor, as far as the VMM itself needs it. */
#ifndef VMM_APIC_H
#define VMM_APIC_H

#include <stdint.h>

/* For interrupts that the VMM took itself from the APIC. */
void apic_end_of_interrupt(void);

/* Send this processor an interrupt. vector >= 16. */
void apic_send_self(uint8_t vector);
void apic_send_self_nmi(void);

/* The spurious-vector register, which enables the APIC: for whoever changes it for a while. */
uint32_t apic_spurious(void);
void apic_set_spurious(uint32_t value);

#endif
