/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMM_HOST_EVENTS_H
#define VMM_HOST_EVENTS_H

/* Once, before the first processor can take an NMI. */
void host_events_init(void);

#endif
