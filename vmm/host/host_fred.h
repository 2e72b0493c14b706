/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMM_HOST_HOST_FRED_H
#define VMM_HOST_HOST_FRED_H

#include <stdint.h>

/*
 * Where the processor has FRED: take the VMM's own exceptions and NMIs by it from now on, on these
 * stacks for the levels 1 to 3. The IDT stays for when FRED is off.
 */
void fred_host_enable(const uint64_t stacks[3]);

#endif
