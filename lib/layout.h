/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where things are in the VMM's address space. The loader builds its first page
 * tables, the VMM keeps them.
 *
 *   DIRECT_MAP_BASE  all RAM but the VMM's own, at base + physical; RW, no execute
 *   MMIO_BASE        device memory, at base + physical, mapped on demand; RW, uncached;
 *                    the framebuffer write-combining
 *   VMM_BASE         the VMM's region, physically contiguous: first the image, each
 *                    segment with its own rights, then the page pool; RW, no execute.
 *                    Guard pages are the holes between.
 */
#ifndef LIB_LAYOUT_H
#define LIB_LAYOUT_H

#include <stdint.h>

struct config;

#define PAGE_SIZE 0x1000ULL
#define PAGE_MASK (PAGE_SIZE - 1)
#define SIZE_2M	  0x200000ULL
#define SIZE_1G	  0x40000000ULL

#define DIRECT_MAP_BASE 0xffff800000000000ULL
#define MMIO_BASE	0xffffc00000000000ULL
#define VMM_BASE	0xffffffff80000000ULL
#define MMIO_END	(VMM_BASE - MMIO_BASE) /* device memory below this has a place */

/*
 * The VMM's physical region is aligned to 2 MiB. What it must have room for: image, boot_info,
 * page tables of large machines and EPT in any case; then, at worst, for each processor its stacks
 * and tables, for each guest its EPT and bitmaps, for each vcpu its stack, VMCS and trace.
 */
#define VMM_SIZE_FIXED	   (15 * 0x100000ULL)
#define VMM_SIZE_PROCESSOR (96 * 0x400ULL)
#define VMM_SIZE_GUEST	   (128 * 0x400ULL)
#define VMM_SIZE_VCPU	   (72 * 0x400ULL)

/* All of that, whole 2 MiB, for a machine of so many processors. */
uint64_t vmm_region_size(const struct config *config, uint32_t processors);

#endif
