// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the flip test: flips bits, asks the rules, tries the VM entry, and reports where the two
 * differ. A guest that is entered comes back before or behind its first instruction; then all
 * fields get their values back, and a sound entry and exit load the whole host state again.
 */
#include "vmm/selftest/flips.h"

#include <stddef.h>

#include "lib/format.h"
#include "lib/layout.h"
#include "lib/x86/msr.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"
#include "vmm/selftest/probe.h"
#include "vmm/vmx/rules.h"
#include "vmm/vmx/vmcs.h"

#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK	0xa1
#define PIC_ALL		0xff
#define CR8_HOLD_ALL	15ULL
#define READ_ONLY_TYPE	1U /* bits 11:10 of an encoding */
#define GROUPS		8  /* kinds of difference of one field */

/* flips.asm */
bool flip_enter(bool launched);
extern const uint8_t flip_exit[];

static const enum vmcs_field fields[] = {
#define FIELD(name, encoding, group) VMCS_##name,
#include "lib/x86/vmcs_fields.h"
#undef FIELD
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static uint64_t sound[FIELD_COUNT]; /* the guest's VMCS without a flip */
static bool exists[FIELD_COUNT];    /* and can be written */
static bool launched;
static struct vmcs_reader reader;
static struct vmcs_processor processor;
static bool memory_is_unseen; /* the rules asked for memory that the VMM does not see */
static const void *(*see_memory)(const struct vmcs_reader *reader, uint64_t address, size_t size);

static struct {
	unsigned int guests, flips, refused, entered, skipped, differences;
} total;

/* What became of some bits of one field. */
struct group {
	uint64_t bits;
	struct vmcs_verdict rules, seen;
	const char *skipped; /* why; NULL: they were tried, and the two differ */
};
static struct group groups[GROUPS];
static unsigned int group_count;

/* ---- One VM entry ---- */

static struct vmcs_verdict try_entry(void)
{
	static const enum vmcs_refusal by_error[] = {
		[7] = VMCS_BAD_CONTROLS, [8] = VMCS_BAD_HOST
	};
	struct vmcs_verdict seen = { .refusal = VMCS_ACCEPTED };
	uint32_t reason;

	if (!flip_enter(launched)) {
		const uint64_t error = vmcs_read(VMCS_INSTRUCTION_ERROR);

		if (error != 7 && error != 8)
			panic("flip-vmcs", "VM entry: %s", vmcs_instruction_error_name(error));
		seen.refusal = by_error[error];
		return seen;
	}
	reason = vmcs_read32(VMCS_EXIT_REASON);
	if (!(reason & EXIT_REASON_ENTRY_FAILURE)) {
		launched = true;
		return seen;
	}
	seen.refusal = EXIT_REASON_BASIC(reason) == EXIT_REASON_ENTRY_GUEST_STATE
			       ? VMCS_BAD_GUEST
			       : VMCS_BAD_MSR_AREA;
	seen.qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	return seen;
}

/* The exit has saved the guest's state over that of the test. */
static void restore_fields(void)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (exists[i] && vmcs_read(fields[i]) != sound[i])
			vmcs_write(fields[i], sound[i]);
}

/* Loads the host state, of which the last exit may have loaded a bit that was flipped. */
static void recover(void)
{
	struct vmcs_verdict seen;

	restore_fields();
	seen = try_entry();
	restore_fields();
	if (seen.refusal != VMCS_ACCEPTED)
		panic("flip-vmcs", "the sound guest is refused, as class %u", seen.refusal);
}

/* ---- Flips ---- */

static bool same_verdict(const struct vmcs_verdict *a, const struct vmcs_verdict *b)
{
	return a->refusal == b->refusal && a->qualification == b->qualification;
}

static void note(unsigned int bit, const struct group *what)
{
	unsigned int i;

	for (i = 0; i < group_count; i++)
		if (groups[i].skipped == what->skipped &&
		    groups[i].rules.rule == what->rules.rule &&
		    same_verdict(&groups[i].rules, &what->rules) &&
		    same_verdict(&groups[i].seen, &what->seen))
			break;
	if (i == GROUPS)
		i--;
	if (i == group_count) {
		groups[i] = *what;
		group_count++;
	}
	groups[i].bits |= 1ULL << bit;
}

static void flip(size_t i, unsigned int bit)
{
	const uint64_t value = sound[i] ^ 1ULL << bit;
	struct group result = { 0 };

	total.flips++;
	memory_is_unseen = false;
	vmcs_write(fields[i], value);
	result.rules = vmcs_judge(&reader);
	if (memory_is_unseen)
		result.skipped = "the rules need memory that the VMM does not see";
	else if (result.rules.refusal == VMCS_ACCEPTED)
		result.skipped = flip_is_unsafe(fields[i], bit, value);
	if (result.skipped) {
		total.skipped++;
		vmcs_write(fields[i], sound[i]);
		note(bit, &result);
		return;
	}
	result.seen = try_entry();
	if (result.seen.refusal == VMCS_BAD_CONTROLS || result.seen.refusal == VMCS_BAD_HOST)
		vmcs_write(fields[i], sound[i]);
	else
		recover();
	if (result.seen.refusal == VMCS_ACCEPTED)
		total.entered++;
	else
		total.refused++;
	if (!same_verdict(&result.rules, &result.seen)) {
		total.differences++;
		note(bit, &result);
	}
}

static void describe(char *text, size_t size, const struct vmcs_verdict *verdict)
{
	static const char *const names[] = {
		[VMCS_ACCEPTED] = "entered",	 [VMCS_BAD_CONTROLS] = "VMfail 7",
		[VMCS_BAD_HOST] = "VMfail 8",	 [VMCS_BAD_GUEST] = "exit 33",
		[VMCS_BAD_MSR_AREA] = "exit 34",
	};

	if (verdict->refusal < VMCS_BAD_GUEST)
		format_string(text, size, "%s", names[verdict->refusal]);
	else
		format_string(text, size, "%s, qualification %llu", names[verdict->refusal],
			      (unsigned long long)verdict->qualification);
}

static void report(const char *guest, enum vmcs_field field)
{
	for (unsigned int i = 0; i < group_count; i++) {
		const struct group *const g = &groups[i];
		char rules[64], seen[64];

		describe(rules, sizeof(rules), &g->rules);
		describe(seen, sizeof(seen), &g->seen);
		if (g->skipped)
			log_debug("flip-vmcs: %s: %s bits %llx skipped: %s", guest,
				  vmcs_field_name(field), (unsigned long long)g->bits, g->skipped);
		else
			log_info("flip-vmcs: %s: %s bits %llx: rules: %s (%s); processor: %s",
				 guest, vmcs_field_name(field), (unsigned long long)g->bits, rules,
				 g->rules.rule ? g->rules.rule : "no rule", seen);
	}
	group_count = 0;
}

static void flip_fields(const char *guest)
{
	static const unsigned int widths[] = { [VMCS_WIDTH_16] = 16,
					       [VMCS_WIDTH_32] = 32,
					       [VMCS_WIDTH_64] = 64,
					       [VMCS_WIDTH_NATURAL] = 64 };

	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (!exists[i])
			continue;
		for (unsigned int bit = 0; bit < widths[VMCS_FIELD_WIDTH(fields[i])]; bit++)
			flip(i, bit);
		report(guest, fields[i]);
	}
}

/* ---- All of it ---- */

static void read_fields(void)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		exists[i] = vmcs_read_optional(fields[i], &sound[i]) &&
			    (fields[i] >> 10 & 3) != READ_ONLY_TYPE;
}

static const void *memory_seen(const struct vmcs_reader *of, uint64_t address, size_t size)
{
	const void *const seen = see_memory(of, address, size);

	memory_is_unseen |= !seen;
	return seen;
}

static struct flip_pages make_pages(void)
{
	struct vmx_msr_entry *const area = pages_alloc(FLIP_MSR_PAGES);

	for (size_t i = 0; i < FLIP_MSR_PAGES * PAGE_SIZE / sizeof(*area); i++)
		area[i] = (struct vmx_msr_entry){ .index = MSR_IA32_LSTAR,
						  .value = rdmsr(MSR_IA32_LSTAR) };
	return (struct flip_pages){ .msr_area = virt_to_phys(area),
				    .scratch = virt_to_phys(page_alloc()) };
}

static void try_guest(const struct flip_guest *guest, const struct vcpu *vcpu,
		      const struct flip_pages *pages)
{
	struct vmcs_verdict rules, seen;

	flip_guest_reset(vcpu, pages);
	if (!guest->make(vcpu)) {
		log_info("flip-vmcs: %s: not on this processor", guest->name);
		return;
	}
	read_fields();
	rules = vmcs_judge(&reader);
	if (rules.rule)
		panic("flip-vmcs", "%s: the rules refuse the sound guest: %s", guest->name,
		      rules.rule);
	seen = try_entry();
	restore_fields();
	if (seen.refusal != VMCS_ACCEPTED)
		panic("flip-vmcs", "%s: the processor refuses the sound guest, as class %u",
		      guest->name, seen.refusal);
	total.guests++;
	flip_fields(guest->name);
}

void flip_vmcs(const struct boot_info *boot)
{
	const uint8_t pic_master = inb(PIC_MASTER_MASK), pic_slave = inb(PIC_SLAVE_MASK);
	const uint64_t cr8 = read_cr8();
	struct flip_pages pages;
	struct vcpu *vcpu;

	if (!machine.has_preemption_timer || !machine.has_monitor_trap) {
		log_info("flip-vmcs: needs the preemption timer and the monitor trap flag");
		return;
	}
	/* The firmware's devices are still at work: no interrupt is to come in these guests. */
	outb(PIC_MASTER_MASK, PIC_ALL);
	outb(PIC_SLAVE_MASK, PIC_ALL);
	write_cr8(CR8_HOLD_ALL);
	vcpu = probe_create(boot);
	pages = make_pages();
	vmcs_write(VMCS_HOST_RIP, (uint64_t)flip_exit);
	reader = vmcs_reader_current(&processor);
	see_memory = reader.memory;
	reader.memory = memory_seen;
	for (unsigned int i = 0; i < flip_guest_count; i++)
		try_guest(&flip_guests[i], vcpu, &pages);
	probe_destroy(vcpu);
	invept(INVEPT_ALL, 0);
	write_cr8(cr8);
	outb(PIC_MASTER_MASK, pic_master);
	outb(PIC_SLAVE_MASK, pic_slave);
	log_info("flip-vmcs: %u flips in %u guests: %u refused, %u entered, %u skipped, "
		 "%u differences",
		 total.flips, total.guests, total.refused, total.entered, total.skipped,
		 total.differences);
}
