/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/exits/livelock.c: which vcpus are watched, which of these are dead and after how many
 * exceptions, and what ends the watch.
 */
#include "tests/unit/unit.h"
#include "tests/unit/model/model.h"
#include "vmm/vcpu/livelock.h"
#include "vmm/exits/table.h"
#include "vmm/run/enter.h"
#include "vmm/vcpu/exit_counts.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define RIP  0x1000ULL
#define GPRS (sizeof(struct guest_regs) / sizeof(uint64_t))

static struct vcpu vcpu;
static uint64_t exits;
static bool watched;   /* exits lead by livelock_compare() */
static bool can_watch; /* there is a way */

/* ---- What exits/livelock.c calls ---- */

uint64_t exit_count(const struct vcpu *of)
{
	assert_ptr_equal(of, &vcpu);
	return exits;
}

bool vcpu_watch(const struct vcpu *of, bool wanted)
{
	assert_ptr_equal(of, &vcpu);
	if (can_watch)
		watched = wanted;
	return can_watch;
}

/* ---- A guest that does nothing but raise an exception ---- */

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&vcpu, 0, sizeof(vcpu));
	exits = 0;
	watched = false;
	can_watch = true;
	model_set(VMCS_GUEST_RIP, RIP);
	model_set(VMCS_GUEST_RSP, 0x8000);
	model_set(VMCS_GUEST_RFLAGS, 0x10002);
	vcpu.regs.rcx = 7;
	vcpu.regs.r15 = 15;
	model_set(VMCS_EXIT_REASON, EXIT_REASON_EXCEPTION_NMI);
	return 0;
}

/* The next look comes after so many exits. */
static void look(uint64_t after)
{
	exits += after;
	livelock_look(&vcpu);
	assert_int_equal(vcpu.livelock.watched, watched);
}

static void be_watched(void)
{
	look(LIVELOCK_EVERY);
	look(LIVELOCK_EVERY);
	assert_true(watched);
}

static void exit_at(uint64_t rip)
{
	model_set(VMCS_GUEST_RIP, rip);
	livelock_compare(&vcpu);
	assert_int_equal(vcpu.livelock.watched, watched);
}

static void exit_otherwise(uint32_t reason)
{
	model_set(VMCS_EXIT_REASON, reason);
	livelock_compare(&vcpu);
	model_set(VMCS_EXIT_REASON, EXIT_REASON_EXCEPTION_NMI);
}

/* How many exits it takes until the guest is ended, when only every `every`th is the same. */
static unsigned int exits_to_the_end(unsigned int every)
{
	unsigned int count = 0;

	while (watched && !vcpu.end.requested) {
		count++;
		exit_at(count % every == 0 ? RIP : RIP + count % every);
	}
	if (!vcpu.end.requested)
		return 0;
	assert_string_equal(vcpu.end.reason, "endless-exceptions");
	return count;
}

TEST(a_guest_that_changes_nothing_is_watched)
{
	look(LIVELOCK_EVERY);
	assert_false(watched);
	look(LIVELOCK_EVERY);
	assert_true(watched);
	/* What it is compared with stays the same now. */
	model_set(VMCS_GUEST_RIP, RIP + 1);
	livelock_look(&vcpu);
	assert_int_equal(exits_to_the_end(1), LIVELOCK_TIMES);
}

/* Every register counts. */
TEST(a_guest_that_changes_something_is_not)
{
	static const uint32_t fields[] = { VMCS_GUEST_RIP, VMCS_GUEST_RSP, VMCS_GUEST_RFLAGS };
	uint64_t *const gprs = (uint64_t *)&vcpu.regs;

	look(LIVELOCK_EVERY);
	for (size_t i = 0; i < GPRS; i++) {
		gprs[i] ^= 1ULL << 40;
		look(LIVELOCK_EVERY);
		assert_false(watched);
	}
	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		model_set(fields[i], vmcs_read(fields[i]) ^ 1ULL << 40);
		look(LIVELOCK_EVERY);
		assert_false(watched);
	}
	look(LIVELOCK_EVERY);
	assert_true(watched);
}

/* It does something else as well. */
TEST(a_guest_with_other_exits_between_is_not)
{
	look(LIVELOCK_EVERY);
	look(LIVELOCK_EVERY + 1);
	assert_false(watched);
	look(LIVELOCK_EVERY);
	assert_true(watched);
}

TEST(where_exits_have_another_way_none_is_watched)
{
	can_watch = false;
	look(LIVELOCK_EVERY);
	look(LIVELOCK_EVERY);
	assert_false(watched);
}

TEST(the_same_a_million_times_is_the_end)
{
	be_watched();
	assert_int_equal(exits_to_the_end(1), LIVELOCK_TIMES);
}

/* Software FRED: the handler's ERETS is the other one. */
TEST(every_second_the_same_is_the_end_too)
{
	be_watched();
	assert_int_equal(exits_to_the_end(2), 2 * LIVELOCK_TIMES);
}

TEST(every_third_the_same_is_a_guest_that_works)
{
	be_watched();
	assert_int_equal(exits_to_the_end(3), 0);
}

TEST(any_other_exit_ends_the_watch)
{
	static const uint32_t reasons[] = { EXIT_REASON_CPUID, EXIT_REASON_EXTERNAL_INTERRUPT,
					    EXIT_REASON_VMCALL };

	for (size_t i = 0; i < COUNT_OF(reasons); i++) {
		set_up(NULL);
		be_watched();
		exit_at(RIP);
		exit_otherwise(reasons[i]);
		assert_false(watched);
		assert_false(vcpu.livelock.watched);
	}
}

/* All that was counted is forgotten. */
TEST(a_second_watch_counts_anew)
{
	be_watched();
	for (unsigned int i = 0; i < LIVELOCK_TIMES / 2; i++)
		exit_at(RIP);
	exit_at(RIP + 1);
	exit_at(RIP + 2);
	assert_false(watched);
	model_set(VMCS_GUEST_RIP, RIP);
	be_watched();
	assert_int_equal(exits_to_the_end(1), LIVELOCK_TIMES);
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(a_guest_that_changes_nothing_is_watched),
		RUN(a_guest_that_changes_something_is_not),
		RUN(a_guest_with_other_exits_between_is_not),
		RUN(where_exits_have_another_way_none_is_watched),
		RUN(the_same_a_million_times_is_the_end),
		RUN(every_second_the_same_is_the_end_too),
		RUN(every_third_the_same_is_a_guest_that_works),
		RUN(any_other_exit_ends_the_watch),
		RUN(a_second_watch_counts_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
