/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests of manfred.cfg. */
#ifndef VMM_RUN_VM_LIST_H
#define VMM_RUN_VM_LIST_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

/* Once, before the first guest is loaded: how many there are. */
void vm_list_init(unsigned int guests);

unsigned int vm_count(void);
struct vm *vm_at(unsigned int index);

/* A guest has failed: the first one's reason is that of the boot. */
void vm_note_failure(const char *reason);

/* No other guest runs any more. */
bool vm_is_last(const struct vm *vm);

/* Why the first guest that has failed did so; NULL: none has. */
const char *vm_failure(void);

/* The boot ends although these guests run: say which. But for this one, which ends it. */
void vm_log_cut_off(const struct vm *vm);

/* Exits by reason, of each guest; and the sum of all. For the end of the boot. */
void vm_statistics_print(void);
uint64_t vm_exit_count(void);

/* One of the guests has the machine's devices, APICs among them. */
bool vm_has_devices(void);

#endif
