// SPDX-License-Identifier: BSD-2-Clause
/* Events that the VMM injects into a guest with FRED, and what it must refuse to inject. */
#include "guest/machine/fred.h"
#include "guest/suite/suite.h"

#define ERROR_CODE   0x1238U
#define GARBAGE	     0x5a5aULL
#define SYSCALL_SIZE 2
#define VECTORS_WITH_ERROR_CODE                                                                    \
	(1U << VECTOR_DF | 1U << VECTOR_TS | 1U << VECTOR_NP | 1U << VECTOR_SS | 1U << VECTOR_GP | \
	 1U << VECTOR_PF | 1U << VECTOR_AC | 1U << VECTOR_CP)

/* RBX, RCX, RDX and RSI of the hypercall. */
struct request {
	uint64_t info, error_code, length, data;
};

static const struct fragment fragment = FRAGMENT(raise_any);

/* Ask for the event, with FRED on. The handler goes on where it came, not behind the NOPs. */
static void raise(const struct request *request)
{
	fragment_run(0, &(struct fragment){ fragment.code, fragment.saved, NULL },
		     (uintptr_t)request);
}

static struct request request_of(unsigned int type, unsigned int vector)
{
	return (struct request){ .info = INJECT(type, vector) };
}

/* What the frame says of this request, at level 0. */
static struct fred_expected expected_of(const struct request *r)
{
	const uint32_t info = (uint32_t)r->info;

	return (struct fred_expected){
		.type = (uint8_t)INTERRUPTION_TYPE(info),
		.vector = INTERRUPTION_VECTOR(info),
		.length = (uint8_t)r->length,
		.nested = info & INTERRUPTION_NESTED,
		.error_code = (uint32_t)r->error_code,
		.event_data = r->data,
		.rip = (uintptr_t)fragment.saved + r->length,
		.rsp = fragment_rsp,
	};
}

static struct request exception(unsigned int vector)
{
	struct request r = request_of(EVENT_HARDWARE_EXCEPTION, vector);

	if (VECTORS_WITH_ERROR_CODE >> vector & 1) {
		r.info |= INTERRUPTION_ERROR_CODE_VALID;
		r.error_code = vector == VECTOR_DF ? 0 : ERROR_CODE;
	}
	if (vector == VECTOR_PF)
		r.data = UNMAPPED_ADDRESS;
	else if (vector == VECTOR_DB)
		r.data = DR6_BS;
	return r;
}

#define WALK(vector, level) ((uint64_t)(vector) << 8 | (level))

/* Each vector at each level: its two bits of STKLVLS, and no others. */
static void vector_at_level(uint64_t argument)
{
	const unsigned int vector = (unsigned int)(argument >> 8);
	const unsigned int level = argument & 3;
	const struct request r = exception(vector);
	const uint64_t others = 0x5555555555555555ULL * (3 - level);
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ .stklvls = (others & ~FRED_STKLVL(vector, 3)) |
						    FRED_STKLVL(vector, level) });
	raise(&r);
	fred_end();
	expected = expected_of(&r);
	expected.level = (uint8_t)level;
	check_fred_caught(1);
	check_fred_frame(0, &expected);
	check_equal("CR2", fred.events[0].cr2, vector == VECTOR_PF ? r.data : 0);
	check_equal("DR6", fred.events[0].dr6, DR6_RESET | (vector == VECTOR_DB ? r.data : 0));
}

/* NMIs have a level of STKLVLS, interrupts one of their own. */
static void nmi_at_level(uint64_t level)
{
	const struct request r = request_of(EVENT_NMI, VECTOR_NMI);
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_NMI, level) });
	raise(&r);
	fred_end();
	expected = expected_of(&r);
	expected.level = (uint8_t)level;
	check_fred_caught(1);
	check_fred_frame(0, &expected);
}

static void interrupt_at_level(uint64_t argument)
{
	const unsigned int vector = (unsigned int)(argument >> 8);
	const struct request r = request_of(EVENT_EXTERNAL_INTERRUPT, vector);
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ .interrupt_level = argument & 3 });
	interrupts_on();
	raise(&r);
	fred_end();
	expected = expected_of(&r);
	expected.level = argument & 3;
	expected.rflags = RFLAGS_IF;
	check_fred_caught(1);
	check_fred_frame(0, &expected);
}

#define SOFTWARE(type, vector, length) ((uint64_t)(type) << 16 | (vector) << 8 | (length))

/* RIP is behind as many bytes as the instruction is said to have. */
static void software(uint64_t argument)
{
	struct request r = request_of((unsigned int)(argument >> 16), argument >> 8 & 0xff);
	struct fred_expected expected;

	r.length = argument & 0xff;
	fred_begin(&(struct fred_setup){ 0 });
	raise(&r);
	expected = expected_of(&r);
	expect_fred_event(&expected);
	check_equal("DR6", fred.events[0].dr6, DR6_RESET);
}

#define DATA(vector, what) ((uint64_t)(vector) << 32 | (what))

static void event_data(uint64_t argument)
{
	struct request r = exception((unsigned int)(argument >> 32));
	struct fred_expected expected;

	r.data = (uint32_t)argument;
	fred_begin(&(struct fred_setup){ 0 });
	raise(&r);
	expected = expected_of(&r);
	expect_fred_event(&expected);
}

/* RSI is no data of these events. */
static void no_event_data(uint64_t info)
{
	struct request r = { .info = info, .data = GARBAGE };
	struct fred_expected expected;

	if (INTERRUPTION_TYPE(info) >= EVENT_SOFTWARE_INTERRUPT)
		r.length = SYSCALL_SIZE;
	fred_begin(&(struct fred_setup){ 0 });
	raise(&(struct request){ INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_PF) |
					 INTERRUPTION_ERROR_CODE_VALID,
				 0, 0, UNMAPPED_ADDRESS });
	interrupts_on();
	raise(&r);
	fred_end();
	r.data = 0;
	expected = expected_of(&r);
	expected.rflags = RFLAGS_IF;
	check_fred_caught(2);
	check_equal("event data of the first", fred.events[0].stack.frame.event_data,
		    UNMAPPED_ADDRESS);
	check_fred_frame(1, &expected);
}

/* The #DB's data is its own, DR6 keeps what it had, and GD is cleared. */
static void debug_is_not_sticky(uint64_t argument)
{
	struct request r = exception(VECTOR_DB);
	struct fred_expected expected;

	(void)argument;
	r.data = DR6_B0;
	fred_begin(&(struct fred_setup){ 0 });
	write_dr6(DR6_RESET | DR6_BS);
	write_dr7(DR7_RESET | DR7_GD);
	raise(&r);
	expected = expected_of(&r);
	expect_fred_event(&expected);
	check_equal("DR6.BS and B0", fred.events[0].dr6 & (DR6_BS | DR6_B0), DR6_BS | DR6_B0);
	check_equal("DR7.GD in the handler", fred.events[0].dr7 & DR7_GD, 0);
}

/* The data of #NM is IA32_XFD_ERR, which the VMM sets with it: where the guest has XFD. */
static void xfd_error(uint64_t data)
{
	struct request r = exception(VECTOR_NM);
	struct fred_expected expected;

	if (!(cpuid(0xd, 1).eax & CPUID_D_1_EAX_XFD)) {
		test_skip("no extended feature disable (XFD)");
		return;
	}
	r.data = data;
	fred_begin(&(struct fred_setup){ 0 });
	raise(&r);
	expected = expected_of(&r);
	expect_fred_event(&expected);
	check_equal("IA32_XFD_ERR", try_rdmsr(MSR_IA32_XFD_ERR), data);
	try_wrmsr(MSR_IA32_XFD_ERR, 0);
}

/* A nested exception, at this CSL and for this level. */
static void nested(uint64_t argument)
{
	const unsigned int vector = (unsigned int)(argument >> 8);
	const unsigned int level = argument & 3;
	struct request r = exception(vector);
	struct fred_expected expected;

	r.info |= INTERRUPTION_NESTED;
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(vector, level) });
	raise(&r);
	expected = expected_of(&r);
	expected.level = (uint8_t)level;
	expect_fred_event(&expected);
}

/* Refused, with nothing delivered: these are no events, or none with FRED off. */
static void refused(uint64_t info)
{
	catch_begin();
	check_equal("result",
		    (uint64_t)hypercall(HYPERCALL_INJECT, info,
					info & INTERRUPTION_ERROR_CODE_VALID ? ERROR_CODE : 0,
					SYSCALL_SIZE, 0),
		    (uint64_t)HYPERCALL_INVALID);
	cpuid(0, 0);
	expect_no_event();
}

static void refused_with_fred(uint64_t info)
{
	long result;

	fred_begin(&(struct fred_setup){ 0 });
	result = hypercall(HYPERCALL_INJECT, info, 0, SYSCALL_SIZE, 0);
	cpuid(0, 0);
	expect_no_fred_event();
	check_equal("result", (uint64_t)result, (uint64_t)HYPERCALL_INVALID);
}

#define VECTOR_LEVELS(vector)                                                       \
	{ "vector_" #vector "_level_0", vector_at_level, WALK(vector, 0) },         \
		{ "vector_" #vector "_level_1", vector_at_level, WALK(vector, 1) }, \
		{ "vector_" #vector "_level_2", vector_at_level, WALK(vector, 2) }, \
	{                                                                           \
		"vector_" #vector "_level_3", vector_at_level, WALK(vector, 3)      \
	}
#define INTERRUPT_LEVELS(vector)                                                          \
	{ "interrupt_" #vector "_level_0", interrupt_at_level, WALK(vector, 0) },         \
		{ "interrupt_" #vector "_level_1", interrupt_at_level, WALK(vector, 1) }, \
		{ "interrupt_" #vector "_level_2", interrupt_at_level, WALK(vector, 2) }, \
	{                                                                                 \
		"interrupt_" #vector "_level_3", interrupt_at_level, WALK(vector, 3)      \
	}
#define LENGTH(length)                                                                \
	{ "int_n_length_" #length, software,                                          \
	  SOFTWARE(EVENT_SOFTWARE_INTERRUPT, VECTOR_SOFTWARE, length) },              \
		{ "int3_length_" #length, software,                                   \
		  SOFTWARE(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, length) },            \
		{ "int1_length_" #length, software,                                   \
		  SOFTWARE(EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB, length) }, \
	{                                                                             \
		"syscall_length_" #length, software,                                  \
			SOFTWARE(EVENT_OTHER, FRED_VECTOR_SYSCALL, length)            \
	}
#define NESTED_EXCEPTION(vector) (INJECT(EVENT_HARDWARE_EXCEPTION, vector) | INTERRUPTION_NESTED)

static const struct test tests[] = {
	VECTOR_LEVELS(0),
	VECTOR_LEVELS(1),
	VECTOR_LEVELS(3),
	VECTOR_LEVELS(4),
	VECTOR_LEVELS(5),
	VECTOR_LEVELS(6),
	VECTOR_LEVELS(7),
	VECTOR_LEVELS(8),
	VECTOR_LEVELS(9),
	VECTOR_LEVELS(10),
	VECTOR_LEVELS(11),
	VECTOR_LEVELS(12),
	VECTOR_LEVELS(13),
	VECTOR_LEVELS(14),
	VECTOR_LEVELS(15),
	VECTOR_LEVELS(16),
	VECTOR_LEVELS(17),
	VECTOR_LEVELS(18),
	VECTOR_LEVELS(19),
	VECTOR_LEVELS(20),
	VECTOR_LEVELS(21),
	VECTOR_LEVELS(22),
	VECTOR_LEVELS(23),
	VECTOR_LEVELS(24),
	VECTOR_LEVELS(25),
	VECTOR_LEVELS(26),
	VECTOR_LEVELS(27),
	VECTOR_LEVELS(28),
	VECTOR_LEVELS(29),
	VECTOR_LEVELS(30),
	VECTOR_LEVELS(31),
	{ "nmi_level_0", nmi_at_level, 0 },
	{ "nmi_level_1", nmi_at_level, 1 },
	{ "nmi_level_2", nmi_at_level, 2 },
	{ "nmi_level_3", nmi_at_level, 3 },
	INTERRUPT_LEVELS(32),
	INTERRUPT_LEVELS(255),
	LENGTH(1),
	LENGTH(2),
	LENGTH(3),
	LENGTH(7),
	LENGTH(15),
	{ "sysenter", software, SOFTWARE(EVENT_OTHER, FRED_VECTOR_SYSENTER, SYSCALL_SIZE) },
	{ "into", software, SOFTWARE(EVENT_SOFTWARE_EXCEPTION, VECTOR_OF, 1) },
	{ "pf_data_0", event_data, DATA(VECTOR_PF, 0) },
	{ "pf_data_low", event_data, DATA(VECTOR_PF, 0x1234) },
	{ "db_data_b0_to_b3", event_data, DATA(VECTOR_DB, 0xf) },
	{ "db_data_0", event_data, DATA(VECTOR_DB, 0) },
	{ "db_data_bd", event_data, DATA(VECTOR_DB, DR6_BD) },
	{ "db_data_is_not_sticky", debug_is_not_sticky, 0 },
	{ "nm_data_0", event_data, DATA(VECTOR_NM, 0) },
	{ "nm_data_is_xfd_err", xfd_error, 1ULL << 18 },
	{ "no_data_in_ud", no_event_data, INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_UD) },
	{ "no_data_in_de", no_event_data, INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_DE) },
	{ "no_data_in_gp", no_event_data,
	  INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_GP) | INTERRUPTION_ERROR_CODE_VALID },
	{ "no_data_in_nmi", no_event_data, INJECT(EVENT_NMI, VECTOR_NMI) },
	{ "no_data_in_interrupt", no_event_data,
	  INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT) },
	{ "no_data_in_int_n", no_event_data, INJECT(EVENT_SOFTWARE_INTERRUPT, VECTOR_PF) },
	{ "no_data_in_int3", no_event_data, INJECT(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP) },
	{ "no_data_in_int1", no_event_data,
	  INJECT(EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB) },
	{ "no_data_in_syscall", no_event_data, INJECT(EVENT_OTHER, FRED_VECTOR_SYSCALL) },
	{ "no_data_in_sysenter", no_event_data, INJECT(EVENT_OTHER, FRED_VECTOR_SYSENTER) },
	{ "nested_pf_level_0", nested, WALK(VECTOR_PF, 0) },
	{ "nested_pf_level_2", nested, WALK(VECTOR_PF, 2) },
	{ "nested_gp_level_0", nested, WALK(VECTOR_GP, 0) },
	{ "nested_gp_level_3", nested, WALK(VECTOR_GP, 3) },
	{ "nested_ud_level_1", nested, WALK(VECTOR_UD, 1) },
	{ "refused_syscall_without_fred", refused, INJECT(EVENT_OTHER, FRED_VECTOR_SYSCALL) },
	{ "refused_sysenter_without_fred", refused, INJECT(EVENT_OTHER, FRED_VECTOR_SYSENTER) },
	{ "refused_nested_without_fred", refused, NESTED_EXCEPTION(VECTOR_UD) },
	{ "refused_other_event_0", refused_with_fred, INJECT(EVENT_OTHER, 0) },
	{ "refused_other_event_3", refused_with_fred, INJECT(EVENT_OTHER, 3) },
	{ "refused_type_1", refused_with_fred, INJECT(1, VECTOR_UD) },
	{ "refused_nested_double_fault", refused_with_fred,
	  NESTED_EXCEPTION(VECTOR_DF) | INTERRUPTION_ERROR_CODE_VALID },
	{ "refused_nested_interrupt", refused_with_fred,
	  INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT) | INTERRUPTION_NESTED },
	{ "refused_nested_nmi", refused_with_fred,
	  INJECT(EVENT_NMI, VECTOR_NMI) | INTERRUPTION_NESTED },
	{ "refused_nested_int_n", refused_with_fred,
	  INJECT(EVENT_SOFTWARE_INTERRUPT, VECTOR_SOFTWARE) | INTERRUPTION_NESTED },
	{ "refused_bit_12", refused_with_fred,
	  INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_UD) | INTERRUPTION_NMI_UNBLOCKED },
};

const struct chapter chapter_fredvm_inject = FRED_VM_CHAPTER("fredvm-inject", tests);
