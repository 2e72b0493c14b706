/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMM_FRED_VMCS_DUMP_H
#define VMM_FRED_VMCS_DUMP_H

/*
 * Print every field of the current VMCS by name, the important ones decoded, and what of the
 * guest's FRED the VMCS does not hold. Changes nothing.
 */
void vmcs_dump(void);

#endif
