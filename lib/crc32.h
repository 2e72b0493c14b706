/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CRC-32 of IEEE 802.3, as zlib, PNG and GPT have it.
 */
#ifndef LIB_CRC32_H
#define LIB_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what `crc` is the checksum of, and these bytes behind it; begin with 0. */
uint32_t crc32(uint32_t crc, const void *bytes, size_t size);

#endif
