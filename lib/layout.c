/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The size of the VMM's region.
 */
#include "lib/layout.h"

#include "lib/config.h"

uint64_t vmm_region_size(const struct config *config, uint32_t processors)
{
	const uint32_t used = config_processors(config, processors);
	uint64_t size = VMM_SIZE_FIXED + used * VMM_SIZE_PROCESSOR;

	for (uint32_t i = 0; i < config->guest_count; i++)
		size += VMM_SIZE_GUEST + config_vcpus(&config->guests[i], used) * VMM_SIZE_VCPU;
	return (size + SIZE_2M - 1) & ~(SIZE_2M - 1);
}
