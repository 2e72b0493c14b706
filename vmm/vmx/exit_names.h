/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMM_VMX_EXIT_NAMES_H
#define VMM_VMX_EXIT_NAMES_H

#include <stdint.h>

/* An exit reason in words (SDM 3D, appendix C), with or without the bits above the basic reason. */
const char *exit_reason_name(uint32_t reason);

#endif
