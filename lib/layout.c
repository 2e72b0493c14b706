/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The size of the VMM's region.
 */
#include "lib/layout.h"

#include "lib/config.h"

/* A guest without devices may have each of its pages taken away: a table for each 2 MiB. */
static uint64_t tables_to_split(const struct guest_config *guest)
{
	return guest->devices == DEVICES_NONE ? guest->memory / SIZE_2M * PAGE_SIZE : 0;
}

uint64_t vmm_region_size(const struct config *config, uint32_t processors)
{
	const uint32_t used = config_processors(config, processors);
	/* Those that run no guest are parked, and need as much. */
	uint64_t size = VMM_SIZE_FIXED + processors * VMM_SIZE_PROCESSOR;

	for (uint32_t i = 0; i < config->guest_count; i++) {
		const struct guest_config *const guest = &config->guests[i];

		size += VMM_SIZE_GUEST + config_vcpus(guest, used) * VMM_SIZE_VCPU +
			tables_to_split(guest);
	}
	return (size + SIZE_2M - 1) & ~(SIZE_2M - 1);
}
