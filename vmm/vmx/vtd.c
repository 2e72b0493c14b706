// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the VT-d units: their registers, root and context tables, invalidation queues. The tables
 * below those are of ept.c. Set up once, before a guest runs; nothing is done while one does: the
 * EPT of a guest with the devices only grows then, and units keep no translation that is missing.
 */
#include "vmm/vmx/vtd.h"

#include <assert.h>
#include <stddef.h>

#include "lib/acpi.h"
#include "lib/dmar.h"
#include "lib/layout.h"
#include "lib/x86/vmx.h"
#include "lib/x86/vtd.h"
#include "vmm/host/apic.h"
#include "vmm/vmx/ept.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/base/mmio.h"
#include "vmm/vcpu/vcpu.h"

/* Each reads a register, which takes a good part of a microsecond; what is awaited takes a few. */
#define POLLS_MAX 200000
#define DOMAIN	  1 /* 0 is not for everybody (caching mode) */
#define DONE	  1U
#define X2APIC_ID 255U /* the first that needs an x2APIC */

/* An EPT entry is a second-level one: what both know they know alike, the rest VT-d ignores. */
#define EPT_LEAF_MAX (EPT_RWX | EPT_MEMORY_TYPE(7) | EPT_LARGE | EPT_ADDRESS_MASK)
static_assert(EPT_READ == VTD_PAGE_READ && EPT_WRITE == VTD_PAGE_WRITE, "rights");
static_assert(EPT_LARGE == VTD_PAGE_LARGE, "page size");
static_assert(EPT_ADDRESS_MASK == VTD_PAGE_ADDRESS, "address");
static_assert((EPT_LEAF_MAX & VTD_PAGE_RESERVED) == 0, "bits that a unit may refuse");
static_assert((EPT_LEAF_MAX & ~(VTD_PAGE_READ | VTD_PAGE_WRITE | VTD_PAGE_LARGE | VTD_PAGE_ADDRESS |
				VTD_PAGE_IGNORED)) == 0,
	      "bits of which VT-d knows nothing");

/* Root and context entries, and descriptors. */
struct pair {
	uint64_t low, high;
};
static_assert(VTD_ENTRIES * sizeof(struct pair) == PAGE_SIZE, "a table is a page");

#define QUEUE_LENGTH (PAGE_SIZE / sizeof(struct pair))

static struct unit {
	volatile void *registers;
	uint64_t base, size;
	uint64_t capability, extended;
	struct pair *queue;
} units[DMAR_UNITS_MAX];
static struct dmar dmar; /* too large for the stack */
static bool taken;
static bool on;

bool vtd_is_taken(void)
{
	return taken;
}

/* ---- Which units there are ---- */

/* All of its registers, of which the table may say too little. */
static void map_registers(struct unit *unit, const struct dmar_range *range)
{
	uint64_t faults_end;

	*unit = (struct unit){ .base = range->base, .size = range->size };
	unit->registers = mmio_map(unit->base, unit->size);
	unit->capability = mmio_read_64(unit->registers, VTD_CAP);
	unit->extended = mmio_read_64(unit->registers, VTD_ECAP);
	faults_end = VTD_CAP_FAULTS(unit->capability) +
		     VTD_CAP_FAULT_COUNT(unit->capability) * VTD_FAULT_SIZE;
	if (faults_end > unit->size) {
		unit->size = (faults_end + PAGE_MASK) & ~PAGE_MASK;
		unit->registers = mmio_map(unit->base, unit->size);
	}
}

static const char *unit_lacks(const struct unit *unit)
{
	if (unit->capability == UINT64_MAX)
		return "a unit does not answer";
	if (!(unit->capability & VTD_CAP_WALK_4))
		return "a unit has no tables of four levels";
	if (!(unit->capability & VTD_CAP_2M) ||
	    ((machine.ept_vpid_cap & EPT_CAP_1G) && !(unit->capability & VTD_CAP_1G)))
		return "a unit has not the page sizes of EPT";
	/* An entry that the EPT gets later would have to be invalidated: units of silicon say 0. */
	if (unit->capability & VTD_CAP_CACHING_MODE)
		return "a unit keeps missing translations (caching mode)";
	if (!(unit->extended & VTD_ECAP_QUEUE))
		return "a unit has no queue for invalidation";
	/* The guest would have to know of it for each interrupt of a device. */
	if (mmio_read_32(unit->registers, VTD_GSTS) & VTD_REMAPS_INTERRUPTS)
		return "the firmware has interrupt remapping on";
	return NULL;
}

/*
 * Linux does without an x2APIC unless it remaps interrupts. Where that cannot be it gets the units,
 * with all that they have.
 */
static bool needs_x2apic(const struct boot_info *boot)
{
	for (uint32_t i = 0; i < boot->processor_count; i++)
		if (boot->apic_ids[i] >= X2APIC_ID)
			return true;
	return apic_is_locked_x2apic();
}

/* Memory that the firmware's devices go on using must be the guest's, and in its EPT. */
static bool reserved_is_reachable(const struct boot_info *boot)
{
	const uint64_t end = ept_machine_end(boot);

	for (uint32_t i = 0; i < dmar.reserved_count; i++) {
		const struct dmar_range *const range = &dmar.reserved[i];

		if (range->base + range->size > end ||
		    (range->base < boot->vmm_base + boot->vmm_size &&
		     boot->vmm_base < range->base + range->size))
			return false;
	}
	return true;
}

static const char *find_units(const struct boot_info *boot)
{
	const uint8_t *table = NULL;
	struct acpi acpi;
	uint32_t length;
	const char *error;

	if (boot->rsdp != 0 && acpi_init(&acpi, boot->rsdp) == NULL)
		table = acpi_find(&acpi, "DMAR", &length);
	if (!table)
		return "the firmware has no table DMAR";
	error = dmar_parse(table, length, &dmar);
	if (error)
		return error;
	if (needs_x2apic(boot))
		return "the guest needs interrupt remapping for its x2APIC";
	if (!reserved_is_reachable(boot))
		return "a device of the firmware uses memory that is not the guest's";
	for (uint32_t i = 0; i < dmar.unit_count && !error; i++) {
		if (dmar.units[i].base + dmar.units[i].size > MMIO_END)
			return "a unit has no sound address";
		map_registers(&units[i], &dmar.units[i]);
		error = unit_lacks(&units[i]);
	}
	return error;
}

void vtd_probe(const struct boot_info *boot)
{
	const char *const error = boot->config.vtd == VTD_OFF ? "vtd = off" : find_units(boot);

	if (error) {
		log_info("VT-d: not used: %s; devices can reach all memory", error);
		return;
	}
	taken = true;
	for (uint32_t i = 0; i < dmar.unit_count; i++) {
		ept_exclude(units[i].base, units[i].size);
		if (!(units[i].extended & VTD_ECAP_COHERENT))
			machine.tables_in_memory = true;
	}
}

/* ---- Commands ---- */

static bool wait_for(const struct unit *unit, uint32_t offset, uint32_t mask, uint32_t value)
{
	for (int i = 0; i < POLLS_MAX; i++) {
		if ((mmio_read_32(unit->registers, offset) & mask) == value)
			return true;
		pause();
	}
	return false;
}

/* One bit of the command register; `done` is what the status says of it in the end. */
static bool command(const struct unit *unit, uint32_t bit, bool set, bool done)
{
	const uint32_t others =
		mmio_read_32(unit->registers, VTD_GSTS) & VTD_GCMD_PERSISTENT & ~bit;

	mmio_write_32(unit->registers, VTD_GCMD, others | (set ? bit : 0));
	return wait_for(unit, VTD_GSTS, bit, done ? bit : 0);
}

/* The queue is used once, so that it never wraps; its last place is for the unit's answer. */
static bool invalidate_all(const struct unit *unit)
{
	struct pair *const queue = unit->queue;
	volatile uint64_t *const answer = &queue[QUEUE_LENGTH - 1].low;

	queue[0].low = VTD_INVALIDATE_CONTEXTS;
	queue[1].low = VTD_INVALIDATE_TRANSLATIONS | VTD_INVALIDATE_DRAIN(unit->capability);
	queue[2] = (struct pair){ VTD_WAIT | (uint64_t)DONE << VTD_WAIT_DATA_SHIFT,
				  virt_to_phys((const void *)answer) };
	vtd_write_back(queue, PAGE_SIZE);
	mmio_write_64(unit->registers, VTD_IQT, 3U << VTD_DESCRIPTOR_SHIFT);
	for (int i = 0; i < POLLS_MAX; i++) {
		if (*answer == DONE)
			return true;
		if (mmio_read_32(unit->registers, VTD_FSTS) & VTD_FSTS_QUEUE)
			return false;
	}
	return false;
}

/*
 * The firmware may have left it translating, and its queue on. Until it translates for us nothing
 * is lost: no guest runs yet.
 */
static bool stop(const struct unit *unit)
{
	if (!command(unit, VTD_TRANSLATION, false, false))
		return false;
	/* What still is in the queue is done first. One that is stuck goes off nevertheless. */
	if (mmio_read_32(unit->registers, VTD_GSTS) & VTD_QUEUE)
		wait_for(unit, VTD_IQH, ~0U, mmio_read_32(unit->registers, VTD_IQT));
	return command(unit, VTD_QUEUE, false, false);
}

/* What was refused before is the firmware's. Of what comes, nobody is told before the end. */
static void forget_faults(const struct unit *unit)
{
	const uint32_t first = VTD_CAP_FAULTS(unit->capability) + VTD_FAULT_VALID_AT;

	for (uint32_t i = 0; i < VTD_CAP_FAULT_COUNT(unit->capability); i++)
		mmio_write_32(unit->registers, first + i * VTD_FAULT_SIZE, VTD_FAULT_VALID_32);
	mmio_write_32(unit->registers, VTD_FSTS, VTD_FSTS_CLEAR);
	mmio_write_32(unit->registers, VTD_FECTL, VTD_FECTL_MASKED);
}

static bool start(struct unit *unit, const struct pair *root)
{
	volatile void *const registers = unit->registers;

	unit->queue = page_alloc();
	if (!stop(unit))
		return false;
	forget_faults(unit);
	if ((unit->capability & VTD_CAP_WRITE_BUFFER) &&
	    !command(unit, VTD_FLUSH_WRITES, true, false))
		return false;
	mmio_write_64(registers, VTD_RTADDR, virt_to_phys(root));
	if (!command(unit, VTD_SET_ROOT, true, true))
		return false;
	mmio_write_64(registers, VTD_IQT, 0);
	mmio_write_64(registers, VTD_IQA, virt_to_phys(unit->queue));
	if (!command(unit, VTD_QUEUE, true, true) || !invalidate_all(unit) ||
	    !command(unit, VTD_TRANSLATION, true, true))
		return false;
	/* The firmware's protection, by address, would now keep the guest's devices out. */
	if (!(unit->capability & VTD_CAP_PROTECTED))
		return true;
	mmio_write_32(registers, VTD_PMEN, 0);
	return wait_for(unit, VTD_PMEN, VTD_PMEN_STATUS, 0);
}

/* Whatever its number, a device has the same table: so its number need not be true. */
static struct pair *make_tables(const struct vm *vm)
{
	struct pair *const root = page_alloc();
	struct pair *const contexts = page_alloc();

	for (uint32_t i = 0; i < VTD_ENTRIES; i++) {
		root[i].low = virt_to_phys(contexts) | VTD_PRESENT;
		contexts[i] = (struct pair){ virt_to_phys(vm->ept) | VTD_PRESENT,
					     VTD_CONTEXT_WALK_4 | VTD_CONTEXT_DOMAIN(DOMAIN) };
	}
	vtd_write_back(root, PAGE_SIZE);
	vtd_write_back(contexts, PAGE_SIZE);
	return root;
}

void vtd_start(const struct vm *vm)
{
	const struct pair *root;
	uint32_t failed = 0;

	if (!taken)
		return;
	root = make_tables(vm);
	while (failed < dmar.unit_count && start(&units[failed], root))
		failed++;
	on = failed == dmar.unit_count;
	if (on) {
		log_info("VT-d: %u units: the devices reach what guest %s reaches", dmar.unit_count,
			 vm->name);
		return;
	}
	for (uint32_t i = 0; i < dmar.unit_count; i++)
		command(&units[i], VTD_TRANSLATION, false, false);
	log_error("VT-d: the unit at 0x%llx does not obey, and all are off: devices can reach all "
		  "memory",
		  (unsigned long long)units[failed].base);
}

/* ---- Faults ---- */

static void log_fault(const struct unit *unit, uint32_t at)
{
	const uint64_t page = mmio_read_64(unit->registers, at) & VTD_FAULT_PAGE;
	const uint64_t high = mmio_read_64(unit->registers, at + VTD_FAULT_HIGH);
	const unsigned int source = VTD_FAULT_SOURCE(high);

	if (!(high & VTD_FAULT_VALID))
		return;
	log_info("VT-d: device %02x:%02x.%x: its %s page 0x%llx was refused, reason %u",
		 source >> 8, source >> 3 & 0x1f, source & 7,
		 high & VTD_FAULT_READ ? "read of" : "write to", (unsigned long long)page,
		 VTD_FAULT_REASON(high));
	mmio_write_32(unit->registers, at + VTD_FAULT_VALID_AT, VTD_FAULT_VALID_32);
}

void vtd_log_faults(void)
{
	for (uint32_t i = 0; on && i < dmar.unit_count; i++) {
		const struct unit *const unit = &units[i];
		const uint32_t first = VTD_CAP_FAULTS(unit->capability);

		for (uint32_t n = 0; n < VTD_CAP_FAULT_COUNT(unit->capability); n++)
			log_fault(unit, first + n * VTD_FAULT_SIZE);
		if (mmio_read_32(unit->registers, VTD_FSTS) & VTD_FSTS_OVERFLOW)
			log_info("VT-d: the unit at 0x%llx has refused more than it could record",
				 (unsigned long long)unit->base);
		mmio_write_32(unit->registers, VTD_FSTS, VTD_FSTS_CLEAR);
	}
}
