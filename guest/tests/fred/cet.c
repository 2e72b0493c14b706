// SPDX-License-Identifier: BSD-2-Clause
/*
 * FRED with CET: what delivery pushes on the supervisor's shadow stack, where SSP points then, what
 * ERETS and ERETU compare, and the bit of the frame that keeps the state of branch tracking.
 *
 * While the supervisor's shadow stack is on, each RET must find its CALL there. So it is turned on
 * in the function that runs the event, and off again before that returns, or by the event's hook.
 */
#include "guest/tests/fred/return.h"
#include "guest/machine/segments.h"
#include "guest/suite/suite.h"

#define CPUID_7_ECX_SHADOW_STACKS (1U << 7)
#define CPUID_7_EDX_IBT		  (1U << 20)

/* IA32_S_CET and IA32_U_CET */
#define CET_SHADOW_STACK (1ULL << 0)
#define CET_WRSS	 (1ULL << 1)
#define CET_ENDBRANCH	 (1ULL << 2)

/* #CP error codes */
#define CP_FAR_RETURN 2U
#define CP_ENDBRANCH  3U

/* #PF error code */
#define PF_SHADOW_STACK 0x40U

#define PTE_DIRTY	 (1ULL << 6)
#define PTE_SHADOW_STACK (PTE_PRESENT | PTE_DIRTY | PTE_NO_EXECUTE)

#define ENTRY_SIZE    8U
#define START_OFFSET  (PAGE_SIZE - 64) /* of the first SSP in its page */
#define RESTORE_TOKEN 1ULL	       /* or'ed to the address behind it: 64-bit mode */
#define FILLER	      0xa5a5a5a5a5a5a5a5ULL
#define SSP_ABOVE_4G  (1ULL << 32)
#define INT_N_LENGTH  2
#define USER_RPL      3U
#define HIGHEST_BIT   (1ULL << 63)

/* Of the test itself, of the levels, and of ring 3. */
enum { OWN, LEVEL_0, LEVEL_3 = LEVEL_0 + 3, USER_PAGE, SHADOW_PAGES };
static uint64_t shadow_pages[SHADOW_PAGES][PAGE_SIZE / ENTRY_SIZE]
	__attribute__((aligned(PAGE_SIZE)));

static uint64_t ssp_start(unsigned int page)
{
	return (uintptr_t)shadow_pages[page] + START_OFFSET;
}

static uint64_t shadow_entry(uint64_t address)
{
	return *(const volatile uint64_t *)address;
}

static bool has_shadow_stacks(void)
{
	if (cpuid(7, 0).ecx & CPUID_7_ECX_SHADOW_STACKS)
		return true;
	test_skip("no CET shadow stacks");
	return false;
}

static bool has_branch_tracking(void)
{
	if (cpuid(7, 0).edx & CPUID_7_EDX_IBT)
		return true;
	test_skip("no CET branch tracking");
	return false;
}

static inline uint64_t read_ssp(void)
{
	uint64_t ssp = 0;

	asm volatile("rdsspq %0" : "+r"(ssp));
	return ssp;
}

/* Inline: the caller's own return address is not on that shadow stack. */
static inline __attribute__((always_inline)) void shadow_stack_on(void)
{
	asm volatile("wrmsr\n\trstorssp (%3)"
		     :
		     : "c"(MSR_IA32_S_CET), "a"((uint32_t)CET_SHADOW_STACK), "d"(0),
		       "r"(ssp_start(OWN))
		     : "memory", "cc");
}

static inline __attribute__((always_inline)) void cet_off(void)
{
	asm volatile("wrmsr" : : "c"(MSR_IA32_S_CET), "a"(0), "d"(0) : "memory");
}

/* FRED and CET on, the pages filled; S_CET and U_CET are still 0. */
static void begin(const struct fred_setup *setup)
{
	for (unsigned int page = 0; page < SHADOW_PAGES; page++) {
		page_set_rights(shadow_pages[page], PTE_DATA);
		for (size_t i = 0; i < PAGE_SIZE / ENTRY_SIZE; i++)
			shadow_pages[page][i] = FILLER;
	}
	shadow_pages[OWN][START_OFFSET / ENTRY_SIZE] =
		(ssp_start(OWN) + ENTRY_SIZE) | RESTORE_TOKEN;
	for (unsigned int page = 0; page < SHADOW_PAGES; page++)
		page_set_rights(shadow_pages[page],
				PTE_SHADOW_STACK | (page == USER_PAGE ? PTE_USER : 0));
	write_msr(MSR_IA32_PL0_SSP, ssp_start(LEVEL_0));
	for (unsigned int level = 1; level < FRED_LEVELS; level++)
		write_msr(MSR_IA32_FRED_SSP1 + level - 1, ssp_start(LEVEL_0 + level));
	fred_begin(setup);
	write_cr4(read_cr4() | CR4_CET);
}

static void end(void)
{
	write_msr(MSR_IA32_S_CET, 0);
	write_msr(MSR_IA32_U_CET, 0);
	write_msr(MSR_IA32_PL3_SSP, 0);
	fred_end();
	write_cr4(read_cr4() & ~CR4_CET);
	write_msr(MSR_IA32_PL0_SSP, 0);
	for (unsigned int level = 1; level < FRED_LEVELS; level++)
		write_msr(MSR_IA32_FRED_SSP1 + level - 1, 0);
	for (unsigned int page = 0; page < SHADOW_PAGES; page++)
		page_set_rights(shadow_pages[page], PTE_DATA);
}

/* SSP in the hook of each event: the handler's, less what the same calls pushed. */
static uint64_t hook_ssp[CAUGHT_MAX];

/* One event is all: then no shadow stack is compared any more. */
static void end_with_event(struct fred_stack *stack)
{
	hook_ssp[fred.count - 1] = read_ssp();
	cet_off();
	if (stack->frame.cs & USER_RPL)
		return_leave(stack);
}

/* The first event returns by ERETS as it came; a second one is the fault of that, and ends it. */
static void end_with_second_event(struct fred_stack *stack)
{
	(void)stack;
	if (fred.count != 1)
		cet_off();
}

static void change_rip(struct fred_stack *stack)
{
	end_with_second_event(stack);
	/* There is another NOP. */
	if (fred.count == 1)
		stack->frame.rip++;
}

static void change_level(struct fred_stack *stack)
{
	end_with_second_event(stack);
	if (fred.count == 1)
		stack->frame.cs ^= 1ULL << FRED_CS_CSL_SHIFT;
}

static void change_ssp1(struct fred_stack *stack)
{
	end_with_second_event(stack);
	if (fred.count == 1)
		write_msr(MSR_IA32_FRED_SSP1, ssp_start(LEVEL_0 + 1) - ENTRY_SIZE);
}

/* INT3 with the shadow stack on, SSP that many half entries above the start. */
struct int3 {
	uint64_t rip, ssp, ssp_after;
};

static struct int3 run_int3(uint64_t half_entries)
{
	struct int3 result;
	uint32_t cet = CET_SHADOW_STACK;

	/* RDSSP does nothing when an event's hook has turned the shadow stack off. */
	asm volatile("wrmsr\n\trstorssp (%[start])\n\tincsspd %k[half]\n\txorl %k[before], "
		     "%k[before]\n\t"
		     "xorl %k[after], %k[after]\n\trdsspq %[before]\n\tleaq 1f(%%rip), %[rip]\n\t"
		     "int3\n1:\tnop\n\tnop\n\trdsspq %[after]\n\txorl %%eax, %%eax\n\twrmsr"
		     : [rip] "=&r"(result.rip), [before] "=&r"(result.ssp),
		       [after] "=&r"(result.ssp_after), "+a"(cet)
		     : "c"(MSR_IA32_S_CET),
		       "d"(0), [start] "r"(ssp_start(OWN)), [half] "r"(half_entries)
		     : "memory", "cc");
	return result;
}

/* From one stack level to another. */
#define LEVELS(from, to) ((uint64_t)(from) << 4 | (to))

static struct fred_setup setup_for(uint64_t from_to)
{
	return (struct fred_setup){
		.csl = (uint8_t)(from_to >> 4),
		.stklvls = FRED_STKLVL(VECTOR_BP, from_to & 0xf),
	};
}

/* CS, RIP and SSP of the event, below `top`. */
static void check_shadow_frame(uint64_t top, unsigned int csl, const struct int3 *int3)
{
	check_equal("CS on the shadow stack", shadow_entry(top - ENTRY_SIZE),
		    SELECTOR_KERNEL_CODE | (uint64_t)csl << FRED_CS_CSL_SHIFT);
	check_equal("RIP on the shadow stack", shadow_entry(top - 2 * ENTRY_SIZE), int3->rip);
	check_equal("SSP on the shadow stack", shadow_entry(top - 3 * ENTRY_SIZE), int3->ssp);
	check_fred_caught(1);
}

static void pushed(uint64_t from_to)
{
	const struct fred_setup setup = setup_for(from_to);
	const unsigned int level = from_to & 0xf;
	struct int3 int3;

	if (!has_shadow_stacks())
		return;
	begin(&setup);
	fred.hook = end_with_event;
	int3 = run_int3(0);
	end();
	check_shadow_frame(level > setup.csl ? ssp_start(LEVEL_0 + level) : int3.ssp, setup.csl,
			   &int3);
}

/* CONFIG bit 3: 8 less where the level stays, and only there. */
static void adjusted(uint64_t from_to)
{
	const struct fred_setup setup = setup_for(from_to);
	const unsigned int level = from_to & 0xf;
	struct int3 int3;

	if (!has_shadow_stacks())
		return;
	begin(&setup);
	write_msr(MSR_IA32_FRED_CONFIG, read_msr(MSR_IA32_FRED_CONFIG) | FRED_CONFIG_SSP_ADJUST);
	fred.hook = end_with_event;
	int3 = run_int3(0);
	end();
	check_shadow_frame(level > setup.csl ? ssp_start(LEVEL_0 + level) : int3.ssp - ENTRY_SIZE,
			   setup.csl, &int3);
}

/* SSP half an entry off: a zero fills the hole. */
static void aligned(uint64_t argument)
{
	struct int3 int3;

	(void)argument;
	if (!has_shadow_stacks())
		return;
	begin(&(struct fred_setup){ 0 });
	fred.hook = end_with_event;
	int3 = run_int3(1);
	end();
	check_equal("SSP at the event", int3.ssp, ssp_start(OWN) + ENTRY_SIZE / 2);
	check_shadow_frame(ssp_start(OWN), 0, &int3);
	check_equal("half an entry in the hole", (uint32_t)shadow_entry(ssp_start(OWN)), 0);
}

/* There and back again. */
static void round_trip(uint64_t from_to)
{
	const struct fred_setup setup = setup_for(from_to);
	struct int3 int3;

	if (!has_shadow_stacks())
		return;
	begin(&setup);
	fred.hook = end_with_second_event;
	int3 = run_int3(0);
	end();
	check_fred_caught(1);
	check_equal("SSP behind", int3.ssp_after, int3.ssp);
}

/* What the first event's hook changes makes ERETS raise this exception. */
static void mismatch(void (*hook)(struct fred_stack *stack), uint64_t from_to, unsigned int vector)
{
	const struct fred_setup setup = setup_for(from_to);
	uint64_t ss;

	if (!has_shadow_stacks())
		return;
	begin(&setup);
	fred.hook = hook;
	run_int3(0);
	end();
	check_fred_caught(2);
	if (fred.count < 2)
		return;
	ss = fred.events[1].stack.frame.ss;
	check_equal("event type", FRED_SS_TYPE(ss), EVENT_HARDWARE_EXCEPTION);
	check_equal("vector", FRED_SS_VECTOR(ss), vector);
	check_equal("error code", fred.events[1].stack.frame.error_code,
		    vector == VECTOR_CP ? CP_FAR_RETURN : 0);
}

static void rip_mismatch(uint64_t from_to)
{
	mismatch(change_rip, from_to, VECTOR_CP);
}

static void level_mismatch(uint64_t from_to)
{
	mismatch(change_level, from_to, VECTOR_CP);
}

static void ssp1_mismatch(uint64_t from_to)
{
	mismatch(change_ssp1, from_to, VECTOR_CP);
}

/* What the first event's hook changes in an entry of the shadow frame, counted from its top. */
static struct {
	unsigned int entry;
	uint64_t bits;
} damage;

static void damage_frame(struct fred_stack *stack)
{
	const uint64_t at = ssp_start(LEVEL_0 + 1) - damage.entry * ENTRY_SIZE;

	end_with_second_event(stack);
	if (fred.count != 1)
		return;
	write_msr(MSR_IA32_S_CET, CET_SHADOW_STACK | CET_WRSS);
	asm volatile("wrssq %0, (%1)" : : "r"(shadow_entry(at) ^ damage.bits), "r"(at) : "memory");
	write_msr(MSR_IA32_S_CET, CET_SHADOW_STACK);
}

static void damaged_cs(uint64_t bits)
{
	damage.entry = 1;
	damage.bits = bits;
	mismatch(damage_frame, LEVELS(0, 1), VECTOR_CP);
}

static void damaged_rip(uint64_t bits)
{
	damage.entry = 2;
	damage.bits = bits;
	mismatch(damage_frame, LEVELS(0, 1), VECTOR_CP);
}

static void damaged_ssp(uint64_t bits)
{
	damage.entry = 3;
	damage.bits = bits;
	mismatch(damage_frame, LEVELS(0, 1), bits == NON_CANONICAL ? VECTOR_GP : VECTOR_CP);
}

/* With shadow stacks, where they would be legal without FRED. */
#define UNDEFINED(name, bytes)                                                             \
	static void name(uint64_t argument)                                                \
	{                                                                                  \
		uint64_t rip, rsp;                                                         \
                                                                                           \
		(void)argument;                                                            \
		if (!has_shadow_stacks())                                                  \
			return;                                                            \
		begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_UD, 1) });       \
		fred.hook = end_with_event;                                                \
		shadow_stack_on();                                                         \
		asm volatile(TRY("movq %%rsp, %1\n\tleaq 1f(%%rip), %0\n1:\t.byte " bytes) \
			     : "=&b"(rip), "=&d"(rsp)                                      \
			     : "a"(ssp_start(LEVEL_0))                                     \
			     : "r11", "memory", "cc");                                     \
		cet_off();                                                                 \
		end();                                                                     \
		expect_fred_event(&(struct fred_expected){                                 \
			.type = EVENT_HARDWARE_EXCEPTION,                                  \
			.vector = VECTOR_UD,                                               \
			.level = 1,                                                        \
			.rip = rip,                                                        \
			.rsp = rsp,                                                        \
			.rflags = RFLAGS_RF,                                               \
		});                                                                        \
	}

UNDEFINED(setssbsy, "0xf3, 0x0f, 0x01, 0xe8")
UNDEFINED(clrssbsy, "0xf3, 0x0f, 0xae, 0x30")

/*
 * Ring 3 by ERETU with the supervisor's shadow stack on, SSP that many half entries above the
 * start; PL0_SSP so far from SSP.
 */
static void run_ring3(const struct fred_frame *frame, uint64_t half_entries, uint64_t distance)
{
	/* The call of fred_try_eretu() is on it. */
	const uint64_t ssp = ssp_start(OWN) + half_entries * ENTRY_SIZE / 2 - ENTRY_SIZE;

	write_msr(MSR_IA32_PL0_SSP, ssp + distance);
	shadow_stack_on();
	asm volatile("incsspd %k0" : : "r"(half_entries));
	fred_try_eretu(frame);
	cet_off();
}

static struct fred_expected int_from_ring3(const struct fred_frame *frame, const char *saved)
{
	return (struct fred_expected){
		.type = EVENT_SOFTWARE_INTERRUPT,
		.vector = VECTOR_SOFTWARE,
		.length = INT_N_LENGTH,
		.ring = 3,
		.rip = (uintptr_t)saved,
		.rsp = frame->rsp,
		.rflags = RFLAGS_IF,
	};
}

/* From ring 3 nothing is pushed, SSP becomes PL0_SSP: 24 more than with a frame of ring 0. */
static void ring3_pushes_nothing(uint64_t argument)
{
	const struct fred_frame *const frame = return_frame_ring3();
	const struct fred_expected expected = int_from_ring3(frame, return_user64_saved);
	uint64_t pushed_by_calls;

	(void)argument;
	if (!has_shadow_stacks())
		return;
	begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_BP, 1) });
	fred.hook = end_with_event;
	run_int3(0);
	end();
	pushed_by_calls = ssp_start(LEVEL_0 + 1) - 3 * ENTRY_SIZE - hook_ssp[0];
	begin(&(struct fred_setup){ 0 });
	fred.hook = end_with_event;
	run_ring3(frame, 0, 0);
	end();
	expect_fred_event(&expected);
	check_equal("SSP in the handler", hook_ssp[0] + pushed_by_calls,
		    ssp_start(OWN) - ENTRY_SIZE);
}

static void eretu_mismatch(uint64_t distance)
{
	const struct fred_frame *const frame = return_frame_ring3();

	if (!has_shadow_stacks())
		return;
	begin(&(struct fred_setup){ 0 });
	fred.hook = end_with_event;
	run_ring3(frame, 0, distance);
	end();
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_CP,
		.error_code = CP_FAR_RETURN,
		.rip = (uintptr_t)fred_eretu_instruction,
		.rsp = (uintptr_t)frame,
		.rflags = RFLAGS_RF,
	});
}

/* No event of ring 3 can be delivered on half an entry: #GP within, at its own level. */
static void pl0_ssp_misaligned(uint64_t argument)
{
	const struct fred_frame *const frame = return_frame_ring3();

	(void)argument;
	if (!has_shadow_stacks())
		return;
	begin(&(struct fred_setup){
		.stklvls = FRED_STKLVL(VECTOR_GP, 1) | FRED_STKLVL(VECTOR_DF, 2),
	});
	fred.hook = end_with_event;
	run_ring3(frame, 1, 0);
	end();
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_GP,
		.nested = true,
		.ring = 3,
		.level = 1,
		.rip = (uintptr_t)return_user64,
		.rsp = frame->rsp,
		.rflags = RFLAGS_RF | RFLAGS_IF,
	});
}

/* The page that #UD's shadow frame should go to has these rights: #PF within, at its own level. */
static void push_faults(uint64_t rights)
{
	const uint8_t *const page = (const uint8_t *)shadow_pages[LEVEL_0 + 1];
	uint64_t rip, rsp;

	if (!has_shadow_stacks())
		return;
	begin(&(struct fred_setup){
		.stklvls = FRED_STKLVL(VECTOR_UD, 1) | FRED_STKLVL(VECTOR_PF, 2),
	});
	fred.hook = end_with_event;
	page_set_rights(page, rights);
	shadow_stack_on();
	asm volatile(TRY("movq %%rsp, %1\n\tleaq 1f(%%rip), %0\n1:\tud2")
		     : "=&r"(rip), "=&r"(rsp)
		     :
		     : "r11", "memory");
	cet_off();
	end();
	check_equal("page of CR2", fred.events[0].cr2 & ~PAGE_MASK, (uintptr_t)page);
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_PF,
		.error_code = PF_SHADOW_STACK | PF_WRITE | (rights & PTE_PRESENT ? PF_PRESENT : 0),
		.nested = true,
		.level = 2,
		.rip = rip,
		.rsp = rsp,
		.rflags = RFLAGS_RF,
		/* The order of the writes is the processor's own. */
		.event_data = fred.events[0].cr2,
	});
}

/* The user's own shadow stack: ERETU loads SSP from IA32_PL3_SSP, delivery saves it there. */
static void user_ssp(uint64_t argument)
{
	struct fred_frame *const frame = return_frame_ring3();
	const struct fred_expected expected = int_from_ring3(frame, return_user_ssp_saved);
	const uint64_t ssp = ssp_start(USER_PAGE);

	(void)argument;
	if (!has_shadow_stacks())
		return;
	frame->rip = (uintptr_t)return_user_ssp;
	begin(&(struct fred_setup){ 0 });
	fred.hook = end_with_event;
	write_msr(MSR_IA32_PL3_SSP, ssp);
	write_msr(MSR_IA32_U_CET, CET_SHADOW_STACK);
	fred_try_eretu(frame);
	check_equal("IA32_PL3_SSP", read_msr(MSR_IA32_PL3_SSP), ssp + ENTRY_SIZE);
	end();
	expect_fred_event(&expected);
	check_equal("SSP in ring 3", fred.events[0].stack.rax, ssp + ENTRY_SIZE);
}

/* Both shadow stacks: each has its own pointer, and neither is taken for the other. */
static void both_shadow_stacks(uint64_t argument)
{
	struct fred_frame *const frame = return_frame_ring3();
	const struct fred_expected expected = int_from_ring3(frame, return_user_ssp_saved);
	const uint64_t ssp = ssp_start(USER_PAGE);

	(void)argument;
	if (!has_shadow_stacks())
		return;
	frame->rip = (uintptr_t)return_user_ssp;
	begin(&(struct fred_setup){ 0 });
	fred.hook = end_with_event;
	write_msr(MSR_IA32_PL3_SSP, ssp);
	write_msr(MSR_IA32_U_CET, CET_SHADOW_STACK);
	run_ring3(frame, 0, 0);
	check_equal("IA32_PL3_SSP", read_msr(MSR_IA32_PL3_SSP), ssp + ENTRY_SIZE);
	check_equal("page of SSP in the handler", hook_ssp[0] & ~PAGE_MASK,
		    ssp_start(OWN) & ~PAGE_MASK);
	end();
	expect_fred_event(&expected);
	check_equal("SSP in ring 3", fred.events[0].stack.rax, ssp + ENTRY_SIZE);
}

/* Compatibility mode has 32 bits of SSP. */
static void compat_ssp(uint64_t pl3_ssp)
{
	struct fred_frame *const frame = return_frame_ring3();

	if (!has_shadow_stacks())
		return;
	segments_open();
	segment_set(SELECTOR_TEST_1, DESCRIPTOR_CODE32(3));
	segment_set(SELECTOR_TEST_2, DESCRIPTOR_FLAT_DATA(3));
	frame->rip = (uintptr_t)return_user32;
	frame->cs = SELECTOR_TEST_1 | USER_RPL;
	frame->ss = SELECTOR_TEST_2 | USER_RPL;
	begin(&(struct fred_setup){ 0 });
	fred.hook = end_with_event;
	write_msr(MSR_IA32_PL3_SSP, pl3_ssp);
	write_msr(MSR_IA32_U_CET, CET_SHADOW_STACK);
	fred_try_eretu(frame);
	end();
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_GP,
		.rip = (uintptr_t)fred_eretu_instruction,
		.rsp = (uintptr_t)frame,
		.rflags = RFLAGS_RF,
	});
	segments_close();
}

/* Called indirectly while branches are tracked. */
void tracked_hook(struct fred_stack *stack);
extern void tracked_hook_entry(struct fred_stack *stack);
asm(".pushsection .text\ntracked_hook_entry:\n\tendbr64\n\tjmp tracked_hook\n.popsection");

void untrack(struct fred_stack *stack);
extern void untrack_entry(struct fred_stack *stack);
asm(".pushsection .text\nuntrack_entry:\n\tendbr64\n\tjmp untrack\n.popsection");

void untrack(struct fred_stack *stack)
{
	end_with_event(stack);
}

static bool clear_wfe;

/* Between a branch and its target comes the first event, a single step. */
void tracked_hook(struct fred_stack *stack)
{
	end_with_second_event(stack);
	if (fred.count == 1 && clear_wfe)
		stack->frame.cs &= ~FRED_CS_WFE;
}

/* A single step over the JMP; its target is a NOP or ENDBR64. */
#define STEP_OVER_JMP(name, jump, target)                                                   \
	static uint64_t name(void)                                                          \
	{                                                                                   \
		uint64_t rip;                                                               \
		uint32_t cet = CET_ENDBRANCH;                                               \
		asm volatile("leaq 1f(%%rip), %0\n\twrmsr\n\tpushfq\n\torq %4, (%%rsp)\n\t" \
			     "popfq\n\t" jump "\n\t"                                        \
			     "ud2\n1:\t" target "\n\txorl %%eax, %%eax\n\twrmsr"            \
			     : "=&b"(rip), "+a"(cet)                                        \
			     : "c"(MSR_IA32_S_CET), "d"(0), "i"(RFLAGS_TF)                  \
			     : "memory", "cc");                                             \
		return rip;                                                                 \
	}

STEP_OVER_JMP(indirect_to_endbr, "jmp *%%rbx", "endbr64")
STEP_OVER_JMP(indirect_to_nop, "jmp *%%rbx", "nop")
STEP_OVER_JMP(direct_to_nop, "jmp 1f", "nop")

static void tracked(uint64_t (*run)(void), bool expect_wfe, bool clear, bool expect_cp)
{
	uint64_t rip;

	if (!has_branch_tracking())
		return;
	clear_wfe = clear;
	begin(&(struct fred_setup){ 0 });
	fred.hook = tracked_hook_entry;
	rip = run();
	end();
	check_fred_caught(expect_cp ? 2 : 1);
	check_equal("first vector", FRED_SS_VECTOR(fred.events[0].stack.frame.ss), VECTOR_DB);
	check_equal("first saved RIP", fred.events[0].stack.frame.rip, rip);
	check_equal("saved CS", fred.events[0].stack.frame.cs,
		    SELECTOR_KERNEL_CODE | (expect_wfe ? FRED_CS_WFE : 0));
	if (!expect_cp || fred.count < 2)
		return;
	check_equal("second vector", FRED_SS_VECTOR(fred.events[1].stack.frame.ss), VECTOR_CP);
	check_equal("second error code", fred.events[1].stack.frame.error_code, CP_ENDBRANCH);
	check_equal("second saved RIP", fred.events[1].stack.frame.rip, rip);
}

static void wfe_saved(uint64_t argument)
{
	(void)argument;
	tracked(indirect_to_endbr, true, false, false);
}

static void wfe_not_set(uint64_t argument)
{
	(void)argument;
	tracked(direct_to_nop, false, false, false);
}

static void wfe_restored(uint64_t argument)
{
	(void)argument;
	tracked(indirect_to_nop, true, false, true);
}

static void wfe_cleared(uint64_t argument)
{
	(void)argument;
	tracked(indirect_to_nop, true, true, false);
}

/*
 * Delivery leaves the tracker idle (FRED specification, revision 9): the first instruction of a
 * handler needs no ENDBR64. Up to revision 8 it does, and the tracker waits for one.
 */
static void tracker_at_entry(uint64_t argument)
{
	const struct fred_frame *const frame = return_frame_ring3();

	(void)argument;
	if (!has_branch_tracking())
		return;
	begin(&(struct fred_setup){ 0 });
	fred.hook = untrack_entry;
	fred_use_entries(fred_tracked_entry_page);
	write_msr(MSR_IA32_S_CET, CET_ENDBRANCH);
	fred_try_eretu(frame);
	end();
	check_fred_caught(1);
	check_equal("vector", FRED_SS_VECTOR(fred.events[0].stack.frame.ss), VECTOR_BP);
	check_equal("saved CS", fred.events[0].stack.frame.cs, SELECTOR_KERNEL_CODE);
	check_equal("saved RIP", fred.events[0].stack.frame.rip,
		    (uintptr_t)fred_tracked_entry_page + 1);
}

static const struct test tests[] = {
	{ "pushed_at_level_0", pushed, LEVELS(0, 0) },
	{ "pushed_at_level_1", pushed, LEVELS(1, 1) },
	{ "pushed_at_level_2", pushed, LEVELS(2, 0) },
	{ "pushed_at_level_3", pushed, LEVELS(3, 1) },
	{ "pushed_0_to_1", pushed, LEVELS(0, 1) },
	{ "pushed_0_to_2", pushed, LEVELS(0, 2) },
	{ "pushed_0_to_3", pushed, LEVELS(0, 3) },
	{ "pushed_1_to_2", pushed, LEVELS(1, 2) },
	{ "pushed_2_to_3", pushed, LEVELS(2, 3) },
	{ "config_bit_3_moves_ssp", adjusted, LEVELS(0, 0) },
	{ "config_bit_3_moves_ssp_at_level_2", adjusted, LEVELS(2, 1) },
	{ "config_bit_3_and_other_level", adjusted, LEVELS(0, 2) },
	{ "ssp_is_aligned", aligned, 0 },
	{ "erets_at_level_0", round_trip, LEVELS(0, 0) },
	{ "erets_at_level_1", round_trip, LEVELS(1, 1) },
	{ "erets_1_to_0", round_trip, LEVELS(0, 1) },
	{ "erets_3_to_0", round_trip, LEVELS(0, 3) },
	{ "erets_3_to_2", round_trip, LEVELS(2, 3) },
	{ "erets_other_rip_faults", rip_mismatch, LEVELS(0, 0) },
	{ "erets_other_rip_at_level_1_faults", rip_mismatch, LEVELS(0, 1) },
	{ "erets_other_level_in_cs_faults", level_mismatch, LEVELS(0, 1) },
	{ "erets_other_ssp1_faults", ssp1_mismatch, LEVELS(0, 1) },
	{ "erets_other_shadow_cs_faults", damaged_cs, FRED_CS_WFE },
	{ "erets_other_shadow_cs_bit_63_faults", damaged_cs, HIGHEST_BIT },
	{ "erets_other_shadow_rip_bit_63_faults", damaged_rip, HIGHEST_BIT },
	{ "erets_shadow_ssp_misaligned_by_1_faults", damaged_ssp, 1 },
	{ "erets_shadow_ssp_misaligned_by_2_faults", damaged_ssp, 2 },
	{ "erets_shadow_ssp_not_canonical_faults", damaged_ssp, NON_CANONICAL },
	{ "setssbsy_undefined", setssbsy, 0 },
	{ "clrssbsy_undefined", clrssbsy, 0 },
	{ "ring3_pushes_nothing", ring3_pushes_nothing, 0 },
	{ "eretu_ssp_below_pl0_ssp_faults", eretu_mismatch, ENTRY_SIZE },
	{ "eretu_ssp_above_pl0_ssp_faults", eretu_mismatch, 0ULL - ENTRY_SIZE },
	{ "pl0_ssp_misaligned_faults", pl0_ssp_misaligned, 0 },
	{ "push_on_missing_page_faults", push_faults, 0 },
	{ "push_on_other_page_faults", push_faults, PTE_DATA },
	{ "user_ssp_loaded_and_saved", user_ssp, 0 },
	{ "user_and_supervisor_ssp", both_shadow_stacks, 0 },
	{ "eretu_compat_with_64_bit_ssp_faults", compat_ssp, SSP_ABOVE_4G },
	{ "wfe_saved", wfe_saved, 0 },
	{ "wfe_clear_after_direct_jump", wfe_not_set, 0 },
	{ "wfe_restored", wfe_restored, 0 },
	{ "wfe_cleared_by_handler", wfe_cleared, 0 },
	{ "tracker_idle_at_entry", tracker_at_entry, 0 },
};

const struct chapter chapter_fred_cet = FRED_CHAPTER("fred-cet", tests);
