// SPDX-License-Identifier: BSD-2-Clause
/* Owns the frames that ERETS and ERETU are tried on, and what was found where they led. */
#include "guest/tests/fred/return.h"

struct return_landed return_landed;

/* The top of the pages: a handler's stack grows down below the frame. */
static struct fred_frame *place(struct fred_frame content)
{
	struct fred_frame *const frame =
		(struct fred_frame *)((uintptr_t)test_pages + sizeof(test_pages)) - 1;

	return_landed = (struct return_landed){ 0 };
	*frame = content;
	return frame;
}

struct fred_frame *return_frame_ring0(void)
{
	struct fred_frame content = fred_frame_ring0();

	content.rip = (uintptr_t)return_landing;
	return place(content);
}

struct fred_frame *return_frame_ring3(void)
{
	struct fred_frame content = fred_frame_ring3();

	content.rip = (uintptr_t)return_user64;
	return place(content);
}

void return_leave(struct fred_stack *stack)
{
	stack->frame = fred_frame_ring0();
}
