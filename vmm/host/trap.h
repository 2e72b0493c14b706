/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions and NMIs of the VMM itself. */
#ifndef VMM_HOST_TRAP_H
#define VMM_HOST_TRAP_H

#include <stdint.h>

/*
 * What trap.asm pushes; vector and error_code are 0 where the processor gives none. With FRED the
 * selectors have more bits (FRED_CS_*, FRED_SS_*), which the return needs unchanged.
 */
struct trap_frame {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t vector, error_code;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Fill the IDT (the first time) and load it on this processor. */
void trap_init(void);

/* trap.asm: the page of FRED's entry points. */
extern const uint8_t trap_fred_entry[];

/* What becomes of NMIs and interrupts that hit the VMM. Once, before the first trap_init(). */
typedef void trap_handler(struct trap_frame *frame);
void trap_set_handlers(trap_handler *nmi, trap_handler *interrupt);

/* Called by trap.asm. Returns when the VMM can go on as the frame says. */
void trap_handle(struct trap_frame *frame);

/* Print the callers from this frame pointer on, with names. */
void backtrace(uint64_t rip, uint64_t rbp);

#endif
