/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where things are in the VMM's address space. The loader builds its first page
 * tables, the VMM keeps them.
 *
 *   DIRECT_MAP_BASE  all RAM but the VMM's own, at base + physical; RW, no execute
 *   MMIO_BASE        device memory, at base + physical, mapped on demand; RW, uncached
 *   VMM_BASE         the VMM's region, physically contiguous: first the image, each
 *                    segment with its own rights, then the page pool; RW, no execute.
 *                    Guard pages are the holes between.
 */
#ifndef LIB_LAYOUT_H
#define LIB_LAYOUT_H

#define PAGE_SIZE 0x1000ULL
#define PAGE_MASK (PAGE_SIZE - 1)
#define SIZE_2M	  0x200000ULL
#define SIZE_1G	  0x40000000ULL

#define DIRECT_MAP_BASE 0xffff800000000000ULL
#define MMIO_BASE	0xffffc00000000000ULL
#define VMM_BASE	0xffffffff80000000ULL

/* The VMM's physical region: image, page tables, EPT, VMCSs, stacks. Aligned to 2 MiB. */
#define VMM_REGION_SIZE (16 * 0x100000ULL)

#endif
