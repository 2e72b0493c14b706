/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vmx/vmcs_rules.c: it has nothing to say of a sound VMCS, names the rule that one wrong field
 * breaks, and agrees with the model about every event.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/capabilities.h"
#include "vmm/vmx/vmcs.h"

#define NOT_CANONICAL	    0x0000800000000000ULL
#define FAR		    (1ULL << 40) /* above the physical address width */
#define LOADED		    (PROC_MSR_BITMAPS | PROC_SECONDARY)
#define VALID(type, vector) (INTERRUPTION_VALID | (unsigned int)(type) << 8 | (vector))

static void set_segments(void)
{
	for (unsigned int s = SEG_ES; s <= SEG_GS; s++) {
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, s), ACCESS_RIGHTS_DATA);
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, s), 0xffffffff);
	}
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64);
	model_set(VMCS_GUEST_LDTR_ACCESS_RIGHTS, ACCESS_RIGHTS_UNUSABLE);
	model_set(VMCS_GUEST_TR_ACCESS_RIGHTS, ACCESS_RIGHTS_TSS_BUSY);
	model_set(VMCS_GUEST_TR_LIMIT, 0x67);
}

/* A 64-bit guest that can be entered. */
static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	model.strict_errors = false;
	model.msr = 0xffffffffULL << 32; /* every control may be 0 or 1 */
	machine.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG;
	machine.cr0_fixed1 = 0xffffffff;
	machine.cr4_fixed0 = CR4_VMXE;
	machine.cr4_fixed1 = 0x1ffffffff;
	machine.physical_mask = FAR - 1;
	machine.linear_bits = 48;
	machine.has_monitor_trap = true;
	model_set_msr(MSR_IA32_VMX_EXIT_CTLS2, EXIT2_SAVE_FRED | EXIT2_LOAD_FRED);
	model_set(VMCS_PIN_BASED_CONTROLS, PIN_NMI | PIN_VIRTUAL_NMI);
	model_set(VMCS_PROC_BASED_CONTROLS, LOADED);
	model_set(VMCS_SECONDARY_PROC_CONTROLS, PROC2_EPT | PROC2_UNRESTRICTED_GUEST | PROC2_VPID);
	model_set(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST | ENTRY_LOAD_EFER);
	model_set(VMCS_VPID, 1);
	model_set(VMCS_HOST_CR0, machine.cr0_fixed0);
	model_set(VMCS_HOST_CR4, machine.cr4_fixed0);
	model_set(VMCS_HOST_CS_SELECTOR, 8);
	model_set(VMCS_HOST_TR_SELECTOR, 0x18);
	model_set(VMCS_HOST_EFER, EFER_LME | EFER_LMA);
	model_set(VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE);
	model_set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	model_set(VMCS_VMCS_LINK_POINTER, ~0ULL);
	set_segments();
	return 0;
}

TEST(sound_vmcs)
{
	const char *const rule = vmcs_check();

	if (rule)
		fail_msg("%s", rule);
}

/* The VMX of another mode: no paging, no protection. */
TEST(sound_real_mode)
{
	model_set(VMCS_GUEST_CR0, CR0_NE);
	model_set(VMCS_GUEST_EFER, 0);
	model_set(VMCS_ENTRY_CONTROLS, ENTRY_LOAD_EFER);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, 0x9b);
	model_set(VMCS_GUEST_CS_LIMIT, 0xffff);
	assert_null(vmcs_check());
}

/* One wrong field, and a part of what has to be said of it. */
static const struct damage {
	enum vmcs_field field;
	uint64_t value;
	const char *words;
} damages[] = {
	{ VMCS_IO_BITMAP_A, 0x1008, "I/O bitmap" },
	{ VMCS_IO_BITMAP_B, FAR, "I/O bitmap" },
	{ VMCS_MSR_BITMAP, 8, "MSR bitmap" },
	{ VMCS_PIN_BASED_CONTROLS, PIN_VIRTUAL_NMI, "need NMI exiting" },
	{ VMCS_VPID, 0, "VPID" },
	{ VMCS_SECONDARY_PROC_CONTROLS, PROC2_UNRESTRICTED_GUEST, "needs EPT" },
	{ VMCS_EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER, "needs the timer" },
	{ VMCS_HOST_CR0, CR0_PE, "host CR0" },
	{ VMCS_HOST_CR4, 0, "host CR4" },
	{ VMCS_HOST_CR3, FAR, "host CR3" },
	{ VMCS_HOST_CS_SELECTOR, 0, "host CS" },
	{ VMCS_HOST_TR_SELECTOR, 0, "host CS or TR" },
	{ VMCS_HOST_RIP, NOT_CANONICAL, "host address" },
	{ VMCS_HOST_GDTR_BASE, NOT_CANONICAL, "host address" },
	{ VMCS_HOST_EFER, 0, "host EFER" },
	{ VMCS_GUEST_CR0, CR0_PE | CR0_PG, "guest CR0 has a bit" },
	{ VMCS_GUEST_CR0, CR0_NE | CR0_PG, "CR0.PG is 1 with CR0.PE = 0" },
	{ VMCS_GUEST_CR0, CR0_NE | CR0_PE, "needs CR0.PG and CR4.PAE" },
	{ VMCS_GUEST_CR4, CR4_PAE, "guest CR4" },
	{ VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE | 1ULL << 33, "guest CR4" },
	{ VMCS_GUEST_CR4, CR4_VMXE, "needs CR0.PG and CR4.PAE" },
	{ VMCS_GUEST_CR3, FAR, "guest CR3" },
	{ VMCS_GUEST_EFER, EFER_LME, "EFER.LMA" },
	{ VMCS_GUEST_EFER, EFER_LMA, "EFER.LME" },
	{ VMCS_GUEST_DR7, 1ULL << 32, "DR7" },
	{ VMCS_GUEST_DS_ACCESS_RIGHTS, 0x13, "access rights" },
	{ VMCS_GUEST_ES_LIMIT, 0xffff0000, "granularity" },
	{ VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_UNUSABLE, "access rights" },
	{ VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa092, "CS is not" },
	{ VMCS_GUEST_CS_ACCESS_RIGHTS, 0xe09b, "both L and D" },
	{ VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc091, "SS is not" },
	{ VMCS_GUEST_TR_ACCESS_RIGHTS, 0x83, "busy TSS" },
	{ VMCS_GUEST_TR_ACCESS_RIGHTS, 0x89, "busy TSS" },
	{ VMCS_GUEST_TR_SELECTOR, 4, "LDT" },
	{ VMCS_GUEST_TR_LIMIT, 0x100000, "TR's limit" },
	{ VMCS_GUEST_GS_BASE, NOT_CANONICAL, "not canonical" },
	{ VMCS_GUEST_RFLAGS, 0, "bit 1" },
	{ VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | 8, "reserved bit" },
	{ VMCS_GUEST_RIP, NOT_CANONICAL, "RIP" },
	{ VMCS_GUEST_ACTIVITY_STATE, 4, "activity" },
	{ VMCS_GUEST_INTERRUPTIBILITY, 3, "at once" },
	{ VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_SMI, "blocks SMIs" },
	{ VMCS_VMCS_LINK_POINTER, 0, "link pointer" },
};

TEST(every_damage_has_its_words)
{
	for (size_t i = 0; i < COUNT_OF(damages); i++) {
		const char *rule;

		set_up(NULL);
		model_set(damages[i].field, damages[i].value);
		rule = vmcs_check();
		if (!rule || !strstr(rule, damages[i].words))
			fail_msg("\"%s\", not \"...%s...\"", rule ? rule : "", damages[i].words);
	}
}

/* A processor that allows a control to be 1 only, or 0 only. */
TEST(controls_that_are_not_allowed)
{
	model.msr = 0xffffffff00000000ULL | 1 << 4;
	assert_non_null(strstr(vmcs_check(), "pin-based"));
	model.msr = (0xffffffff00000000ULL & ~(1ULL << 63));
	assert_non_null(strstr(vmcs_check(), "processor-based"));
}

TEST(single_step_in_the_shadow_of_mov_ss)
{
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_TF);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	assert_non_null(vmcs_check());
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	assert_null(vmcs_check());
	model_set(VMCS_GUEST_DEBUGCTL, DEBUGCTL_BTF);
	assert_non_null(vmcs_check());
	model_set(VMCS_GUEST_DEBUGCTL, 0);
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
	assert_non_null(vmcs_check());
	model_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	assert_null(vmcs_check());
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	assert_non_null(vmcs_check());
}

/* ---- FRED ---- */

/* The guest has FRED on, by the VMCS, and so has the host; CPL 0 or 3. */
static void use_fred(unsigned int cpl)
{
	model.has_fred = true;
	machine.vmx_basic = VMX_BASIC_NESTED_EXCEPTION;
	model.fields[VMCS_GUEST_CR4] |= CR4_FRED;
	model.fields[VMCS_HOST_CR4] |= CR4_FRED;
	model.fields[VMCS_ENTRY_CONTROLS] |= ENTRY_LOAD_FRED;
	model_set(VMCS_EXIT_CONTROLS, EXIT_SECONDARY | EXIT_HOST_64BIT);
	model_set(VMCS_SECONDARY_EXIT_CONTROLS, EXIT2_SAVE_FRED | EXIT2_LOAD_FRED);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64 | cpl << 5);
	model_set(VMCS_GUEST_SS_ACCESS_RIGHTS, ACCESS_RIGHTS_DATA | cpl << 5);
}

TEST(sound_fred)
{
	use_fred(0);
	assert_null(vmcs_check());
	use_fred(3);
	assert_null(vmcs_check());
	/* 32-bit code at CPL 3; all that only CPL 0 may have at CPL 0. */
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32 | 3 << 5);
	assert_null(vmcs_check());
	use_fred(0);
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF | 3 << 12);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	assert_null(vmcs_check());
}

/* What FRED adds to the rules of a guest that has it on. */
static const struct fred_damage {
	unsigned int cpl;
	enum vmcs_field field;
	uint64_t value;
	const char *words;
} fred_damages[] = {
	{ 1, VMCS_GUEST_RIP, 0, "CPL 1 or 2" },
	{ 2, VMCS_GUEST_RIP, 0, "CPL 1 or 2" },
	{ 0, VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32, "32-bit code" },
	{ 3, VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | 1 << 12, "IOPL" },
	{ 3, VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | 2 << 12, "IOPL" },
	{ 3, VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI, "shadow of STI" },
	{ 0, VMCS_EXIT_CONTROLS, EXIT_SECONDARY, "64-bit host" },
	{ 0, VMCS_SECONDARY_EXIT_CONTROLS, 1ULL << 40, "secondary VM-exit control" },
	{ 0, VMCS_SECONDARY_EXIT_CONTROLS, EXIT2_LOAD_FRED | 4, "secondary VM-exit control" },
};

static void expect(const char *words, const char *what)
{
	const char *const rule = vmcs_check();

	if (!rule || !strstr(rule, words))
		fail_msg("%s: \"%s\", not \"...%s...\"", what, rule ? rule : "", words);
}

TEST(every_damage_to_fred_has_its_words)
{
	for (size_t i = 0; i < COUNT_OF(fred_damages); i++) {
		const struct fred_damage *const d = &fred_damages[i];

		set_up(NULL);
		use_fred(d->cpl);
		model_set(d->field, d->value);
		expect(d->words, "FRED");
		/* Without FRED there is no such rule. */
		if (d->field == VMCS_SECONDARY_EXIT_CONTROLS)
			continue;
		model.fields[VMCS_GUEST_CR4] &= ~CR4_FRED;
		model.fields[VMCS_HOST_CR4] &= ~CR4_FRED;
		assert_null(vmcs_check());
	}
}

TEST(fred_needs_long_mode)
{
	sound_real_mode(NULL);
	use_fred(0);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, 0x9b);
	expect("outside IA-32e mode", "real mode");
}

static const struct {
	const char *name;
	enum vmcs_field guest, host;
	uint64_t reserved;
} fred_fields[] = {
	{ "FRED_CONFIG", VMCS_GUEST_FRED_CONFIG, VMCS_HOST_FRED_CONFIG, 0x834 },
	{ "FRED_RSP1", VMCS_GUEST_FRED_RSP1, VMCS_HOST_FRED_RSP1, 0x3f },
	{ "FRED_RSP2", VMCS_GUEST_FRED_RSP2, VMCS_HOST_FRED_RSP2, 0x3f },
	{ "FRED_RSP3", VMCS_GUEST_FRED_RSP3, VMCS_HOST_FRED_RSP3, 0x3f },
	{ "FRED_STKLVLS", VMCS_GUEST_FRED_STKLVLS, VMCS_HOST_FRED_STKLVLS, 0 },
	{ "FRED_SSP1", VMCS_GUEST_FRED_SSP1, VMCS_HOST_FRED_SSP1, 7 },
	{ "FRED_SSP2", VMCS_GUEST_FRED_SSP2, VMCS_HOST_FRED_SSP2, 7 },
	{ "FRED_SSP3", VMCS_GUEST_FRED_SSP3, VMCS_HOST_FRED_SSP3, 7 },
};

/* One bit set is not canonical from bit 47 on; STKLVLS takes any value. */
TEST(every_bit_of_freds_fields)
{
	for (size_t i = 0; i < 2 * COUNT_OF(fred_fields); i++) {
		const bool host = i & 1;
		const enum vmcs_field field =
			host ? fred_fields[i / 2].host : fred_fields[i / 2].guest;

		for (unsigned int bit = 0; bit < 64; bit++) {
			const bool bad = field != VMCS_GUEST_FRED_STKLVLS &&
					 field != VMCS_HOST_FRED_STKLVLS &&
					 (fred_fields[i / 2].reserved >> bit & 1 || bit >= 47);

			set_up(NULL);
			use_fred(0);
			model_set(field, 1ULL << bit);
			if (bad)
				expect(fred_fields[i / 2].name, host ? "host" : "guest");
			else
				assert_null(vmcs_check());
			/* Not loaded, it may hold anything. */
			model.fields[VMCS_ENTRY_CONTROLS] &= ~(uint64_t)ENTRY_LOAD_FRED;
			model_set(VMCS_SECONDARY_EXIT_CONTROLS, 0);
			assert_null(vmcs_check());
		}
	}
}

TEST(shadow_stacks)
{
	static const struct {
		enum vmcs_field field;
		uint64_t value;
		const char *words;
	} cases[] = {
		{ VMCS_GUEST_S_CET, 3 << 10, "S_CET" },
		{ VMCS_GUEST_S_CET, 1 << 6, "S_CET" },
		{ VMCS_GUEST_S_CET, 1 << 9, "S_CET" },
		{ VMCS_GUEST_S_CET, NOT_CANONICAL, "S_CET" },
		{ VMCS_GUEST_SSP, 1, "SSP" },
		{ VMCS_GUEST_SSP, 2, "SSP" },
		{ VMCS_GUEST_SSP, NOT_CANONICAL, "SSP" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		model_set(cases[i].field, cases[i].value);
		assert_null(vmcs_check());
		model.fields[VMCS_ENTRY_CONTROLS] |= ENTRY_LOAD_CET;
		expect(cases[i].words, "CET");
		model_set(cases[i].field, 1 << 2);
		assert_null(vmcs_check());
	}
	model.fields[VMCS_GUEST_CR4] |= CR4_CET;
	expect("CR0.WP", "CET");
	model.fields[VMCS_GUEST_CR0] |= CR0_WP;
	assert_null(vmcs_check());
}

/* ---- Events ---- */

static void write_event(uint32_t info, uint64_t error_code, uint64_t length)
{
	vmcs_write(VMCS_INJECTED_EVENT_DATA, 0);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, info);
	vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, error_code);
	vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, length);
}

static void compare(uint32_t info)
{
	const char *const model_rule = model_entry_error();
	const char *const rule = vmcs_check();

	if (!model_rule != !rule)
		fail_msg("event 0x%x: the checker says \"%s\", the model \"%s\"", info,
			 rule ? rule : "fine", model_rule ? model_rule : "fine");
}

/* All types, all vectors, all flags, in every state that matters for them. */
TEST(events_as_in_the_model)
{
	static const uint32_t flags[] = { 0,
					  INTERRUPTION_ERROR_CODE_VALID,
					  INTERRUPTION_NMI_UNBLOCKED,
					  INTERRUPTION_NESTED,
					  1U << 14,
					  1U << 30 };
	static const uint64_t codes[] = { 0, 0xffff, 0x10000 };
	static const uint64_t lengths[] = { 0, 1, 15, 16 };

	for (unsigned int set = 0; set < 128; set++) {
		set_up(NULL);
		model.has_fred = set & 1;
		machine.vmx_basic = set & 1 ? VMX_BASIC_NESTED_EXCEPTION : 0;
		if ((set & 0x41) == 0x41)
			use_fred(0);
		model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | (set & 2 ? RFLAGS_IF : 0));
		model_set(VMCS_GUEST_INTERRUPTIBILITY, set >> 2 & 0xb);
		if (set & 0x10)
			model_set(VMCS_GUEST_ACTIVITY_STATE, set >> 2 & 3 ? 0 : ACTIVITY_HLT);
		for (uint32_t type = 0; type < 8; type++)
			for (uint32_t vector = 0; vector < 64; vector++)
				for (size_t i = 0; i < COUNT_OF(flags) * 12; i++) {
					const uint32_t info =
						VALID(type, vector) | flags[i % COUNT_OF(flags)];

					write_event(info, codes[i / COUNT_OF(flags) % 3],
						    lengths[i / COUNT_OF(flags) / 3]);
					compare(info);
				}
	}
}

TEST(injected_events_of_type_7)
{
	write_event(VALID(EVENT_OTHER, FRED_VECTOR_SYSCALL), 0, 2);
	expect("CR4.FRED is 0", "SYSCALL");
	write_event(VALID(EVENT_OTHER, 3), 0, 2);
	expect("neither MTF nor SYSCALL nor SYSENTER", "vector 3");
	write_event(VALID(EVENT_OTHER, 0), 0, 0);
	assert_null(vmcs_check());
	machine.has_monitor_trap = false;
	expect("monitor trap", "MTF");
	use_fred(0);
	write_event(VALID(EVENT_OTHER, FRED_VECTOR_SYSENTER), 0, 2);
	assert_null(vmcs_check());
	write_event(VALID(EVENT_OTHER, FRED_VECTOR_SYSENTER), 0, 0);
	expect("impossible length", "SYSENTER");
}

TEST(nested_events)
{
	write_event(VALID(EVENT_HARDWARE_EXCEPTION, VECTOR_UD) | INTERRUPTION_NESTED, 0, 0);
	expect("nested", "no FRED");
	use_fred(0);
	assert_null(vmcs_check());
	write_event(VALID(EVENT_SOFTWARE_INTERRUPT, 0x80) | INTERRUPTION_NESTED, 0, 2);
	expect("nested", "INT n");
}

TEST(no_error_code_in_real_mode)
{
	sound_real_mode(NULL);
	write_event(VALID(EVENT_HARDWARE_EXCEPTION, VECTOR_GP), 0, 0);
	assert_null(vmcs_check());
	write_event(VALID(EVENT_HARDWARE_EXCEPTION, VECTOR_GP) | INTERRUPTION_ERROR_CODE_VALID, 0,
		    0);
	assert_non_null(strstr(vmcs_check(), "real mode"));
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(sound_vmcs),
		RUN(sound_real_mode),
		RUN(every_damage_has_its_words),
		RUN(controls_that_are_not_allowed),
		RUN(sound_fred),
		RUN(every_damage_to_fred_has_its_words),
		RUN(fred_needs_long_mode),
		RUN(every_bit_of_freds_fields),
		RUN(shadow_stacks),
		RUN(single_step_in_the_shadow_of_mov_ss),
		RUN(events_as_in_the_model),
		RUN(injected_events_of_type_7),
		RUN(nested_events),
		RUN(no_error_code_in_real_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
