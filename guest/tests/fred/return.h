/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For tests of ERETS and ERETU with frames that they make up: where the frame lies, where it leads
 * to, and what was found there. machine/fred.h has the instructions; return.asm has the places.
 */
#ifndef GUEST_TESTS_FRED_RETURN_H
#define GUEST_TESTS_FRED_RETURN_H

#include <stdint.h>

#include "guest/machine/fred.h"

/* What ring 0 found at return_landing, in the order of return.asm. */
extern struct return_landed {
	uint64_t count;
	uint64_t rsp, rflags, cs, ss, config;
} return_landed;

/* Where ERETS may lead. Goes on behind fred_try_erets(). */
extern const char return_landing[], return_landing_next[];
/* Where it may lead to a #UD. */
extern const char return_ud2[];
/* Where ERETU may lead: INT 0x80 in 64-bit and in compatibility mode, caught. */
extern const char return_user64[], return_user64_saved[];
extern const char return_user32[], return_user32_saved[];
/* Where it may lead to a NOP before return_user64. */
extern const char return_user_nop[];
/* The same, with GS base in RAX. */
extern const char return_user_gs[], return_user_gs_saved[];
/* The same with SSP in RAX, after an INCSSP by one entry. */
extern const char return_user_ssp[], return_user_ssp_saved[];

/* In test_pages, with room below it for handlers; as fred_frame_ring0() with return_landing. */
struct fred_frame *return_frame_ring0(void);
/* As fred_frame_ring3() with return_user64. */
struct fred_frame *return_frame_ring3(void);

/* A hook: after this event, the test goes on behind fred_try_erets() or fred_try_eretu(). */
void return_leave(struct fred_stack *stack);

/* A table's line for each bit. */
#define BITS_0_15(N)                                                                            \
	N(0), N(1), N(2), N(3), N(4), N(5), N(6), N(7), N(8), N(9), N(10), N(11), N(12), N(13), \
		N(14), N(15)
#define BITS_19_31(N) \
	N(19), N(20), N(21), N(22), N(23), N(24), N(25), N(26), N(27), N(28), N(29), N(30), N(31)
#define BITS_32_63(N)                                                                              \
	N(32), N(33), N(34), N(35), N(36), N(37), N(38), N(39), N(40), N(41), N(42), N(43), N(44), \
		N(45), N(46), N(47), N(48), N(49), N(50), N(51), N(52), N(53), N(54), N(55),       \
		N(56), N(57), N(58), N(59), N(60), N(61), N(62), N(63)
/* Of RFLAGS: bit 1 must be 1, these 0 (17 is VM). */
#define BITS_RFLAGS_ZERO(N)                                                                      \
	N(3), N(5), N(15), N(17), N(22), N(23), N(24), N(25), N(26), N(27), N(28), N(29), N(30), \
		N(31), BITS_32_63(N)

/* RFLAGS: the status flags, and what else a return may set. */
#define RFLAGS_PF     (1ULL << 2)
#define RFLAGS_AF     (1ULL << 4)
#define RFLAGS_ZF     (1ULL << 6)
#define RFLAGS_SF     (1ULL << 7)
#define RFLAGS_OF     (1ULL << 11)
#define RFLAGS_IOPL_1 (1ULL << 12)
#define RFLAGS_IOPL_2 (1ULL << 13)
#define RFLAGS_NT     (1ULL << 14)
#define RFLAGS_AC     (1ULL << 18)
#define RFLAGS_VIF    (1ULL << 19)
#define RFLAGS_VIP    (1ULL << 20)
#define RFLAGS_ID     (1ULL << 21)

#define EVENT_DATA_BS (1ULL << 14) /* #DB: a single step */

#endif
