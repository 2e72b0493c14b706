/* SPDX-License-Identifier: BSD-2-Clause */
/* Access to registers of devices that mmio_map() has mapped. */
#ifndef VMM_BASE_MMIO_H
#define VMM_BASE_MMIO_H

#include <stdint.h>

static inline uint32_t mmio_read_32(const volatile void *registers, uint32_t offset)
{
	return *(const volatile uint32_t *)((const volatile uint8_t *)registers + offset);
}

static inline uint64_t mmio_read_64(const volatile void *registers, uint32_t offset)
{
	return *(const volatile uint64_t *)((const volatile uint8_t *)registers + offset);
}

/* What the device is to find in memory is written before. The processor keeps this order by itself.
 */
static inline void mmio_barrier(void)
{
	asm volatile("" : : : "memory");
}

static inline void mmio_write_32(volatile void *registers, uint32_t offset, uint32_t value)
{
	mmio_barrier();
	*(volatile uint32_t *)((volatile uint8_t *)registers + offset) = value;
}

static inline void mmio_write_64(volatile void *registers, uint32_t offset, uint64_t value)
{
	mmio_barrier();
	*(volatile uint64_t *)((volatile uint8_t *)registers + offset) = value;
}

#endif
