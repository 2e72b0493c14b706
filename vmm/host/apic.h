/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC of this processor, as far as the VMM itself needs it. */
#ifndef VMM_HOST_APIC_H
#define VMM_HOST_APIC_H

#include <stdbool.h>
#include <stdint.h>

/* Registers of the xAPIC's page (SDM 3A, table 11-1). */
#define APIC_ICR_LOW  0x300
#define APIC_ICR_HIGH 0x310

#define XAPIC_ID_ALL 0xffU /* as a destination: all; from here on an xAPIC names no processor */

/* A register of this processor's xAPIC, by its offset. */
uint32_t apic_register(uint32_t offset);
void apic_set_register(uint32_t offset, uint32_t value);

/* What INIT makes of it (SDM 3A, 11.4.7.3): the guest's INIT does not reach the APIC itself. */
void apic_reset(void);

/*
 * The interrupt command register: what this processor has sent last. In x2APIC mode that is what
 * processors do, but the manual makes no promise (SDM 3A, 11.12.9).
 */
uint64_t apic_command(void);

/* This processor's ID. */
uint32_t apic_id(void);

/* It is an x2APIC, and nobody can make it an xAPIC. */
bool apic_is_locked_x2apic(void);

/*
 * From x2APIC to xAPIC mode: off and on (SDM 3A, 11.12.5.1), by which it is reset. What is sent to
 * it meanwhile is lost. How far the processor has followed tells IA32_APIC_BASE.
 */
void apic_leave_x2apic(void);

/* Can this APIC, in its mode, send to that ID? An xAPIC has 8 bits, and 255 is all. */
bool apic_can_name(uint32_t id);

/* To another processor; vector: the page at which it starts. Nothing is sent to an ID that this
 * APIC's mode cannot name: from 255 on it takes x2APIC mode, in which firmware then leaves it. */
void apic_send_init(uint32_t id);
void apic_send_sipi(uint32_t id, uint8_t vector);
void apic_send_nmi(uint32_t id);

/* For interrupts that the VMM took itself from the APIC. */
void apic_end_of_interrupt(void);

/*
 * The VMM has taken this interrupt from the APIC, but its owner is not to have it yet: the APIC
 * keeps it until then. False: it is not the highest in service (it came from an old interrupt
 * controller, say), and nothing is done.
 */
bool apic_return_interrupt(uint8_t vector);

/* Send this processor an interrupt. vector >= 16. */
void apic_send_self(uint8_t vector);
void apic_send_self_nmi(void);

/* The spurious-vector register, which enables the APIC: for whoever changes it for a while. */
uint32_t apic_spurious(void);
void apic_set_spurious(uint32_t value);

#endif
