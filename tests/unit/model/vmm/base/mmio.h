/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for vmm/base/mmio.h in the unit tests of the VMM: the test has the device. */
#ifndef MODEL_VMM_BASE_MMIO_H
#define MODEL_VMM_BASE_MMIO_H

#include <stdint.h>

uint32_t mmio_read_32(const volatile void *registers, uint32_t offset);
uint64_t mmio_read_64(const volatile void *registers, uint32_t offset);
void mmio_write_32(volatile void *registers, uint32_t offset, uint32_t value);
void mmio_write_64(volatile void *registers, uint32_t offset, uint64_t value);

#endif
