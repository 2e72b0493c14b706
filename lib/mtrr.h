/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory type that the MTRRs give to physical memory (SDM 3A, 13.11), for EPT.
 */
#ifndef LIB_MTRR_H
#define LIB_MTRR_H

#include <stdint.h>

#define MTRR_FIXED_COUNT  11
#define MTRR_VARIABLE_MAX 64

enum mtrr_type { MTRR_UC = 0, MTRR_WC = 1, MTRR_WT = 4, MTRR_WP = 5, MTRR_WB = 6 };

/* The MSRs' values as read. */
struct mtrr_state {
	uint64_t def_type;
	/* 64K_00000, 16K_80000, 16K_A0000, 4K_C0000 to 4K_F8000 */
	uint64_t fixed[MTRR_FIXED_COUNT];
	struct {
		uint64_t base, mask;
	} variable[MTRR_VARIABLE_MAX];
	uint32_t variable_count;
	uint32_t physical_bits; /* CPUID 80000008H EAX[7:0] */
};

/*
 * The type at `base`, and in *end how far it goes on: all of [base, *end) has
 * it, and *end is as high as that allows, `limit` at most. base < limit.
 */
enum mtrr_type mtrr_type(const struct mtrr_state *state, uint64_t base, uint64_t limit,
			 uint64_t *end);

#endif
