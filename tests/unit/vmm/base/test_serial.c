/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/base/serial.c with a UART that a guest uses as well: whatever the guest has made of it, the
 * VMM's lines arrive, and while the guest lives it finds its settings again.
 */
#include "tests/unit/unit.h"
#include "lib/uart.h"
#include "vmm/base/memory.h"
#include "vmm/base/serial.h"

#define SENT_MAX       64
#define DLAB	       0x80
#define LOOP	       0x10
#define AUTO_FLOW      0x20
#define BREAK	       0x40
#define LINE_STATUS_OK 0x60
#define DIVISOR	       0x0003

/* What a byte needs to get out of it, and to be understood. */
static struct {
	uint8_t interrupts, fifo, line_control, modem_control;
	uint16_t divisor;
	char sent[SENT_MAX + 1];
	size_t count;
	unsigned int latch_opened;
	bool dead; /* for a reason that no register has */
} model;

static const struct uart found = { 0x3f8, UART_PORT, 1, 8, UART_CLOCK_PC, 0 };

volatile void *mmio_map(uint64_t address __attribute__((unused)),
			uint64_t size __attribute__((unused)))
{
	fail_msg("it is at a port");
	return NULL;
}

/* Flow control waits for the other side, which has no wire for that. */
static bool is_stuck(void)
{
	return model.dead || (model.modem_control & (AUTO_FLOW | LOOP)) == AUTO_FLOW;
}

uint8_t uart_read(const struct uart *uart __attribute__((unused)), uint32_t reg)
{
	switch (reg) {
	case 0:
		assert_true(model.line_control & DLAB);
		return (uint8_t)model.divisor;
	case 1:
		return model.line_control & DLAB ? (uint8_t)(model.divisor >> 8) : model.interrupts;
	case 3:
		return model.line_control;
	case 4:
		return model.modem_control;
	case 5:
		return is_stuck() ? 0 : LINE_STATUS_OK;
	default:
		fail_msg("register %u is read", reg);
		return 0;
	}
}

static void send(uint8_t byte)
{
	assert_false(is_stuck());
	if ((model.modem_control & LOOP) || model.line_control != 0x03 || model.divisor != DIVISOR)
		byte = '#';
	assert_true(model.count < SENT_MAX);
	model.sent[model.count++] = (char)byte;
}

void uart_write(const struct uart *uart __attribute__((unused)), uint32_t reg, uint8_t value)
{
	if (reg == 0 && (model.line_control & DLAB)) {
		model.divisor = (uint16_t)((model.divisor & 0xff00) | value);
		return;
	}
	if (reg == 1 && (model.line_control & DLAB)) {
		model.divisor = (uint16_t)((model.divisor & 0xff) | value << 8);
		return;
	}
	switch (reg) {
	case 0:
		send(value);
		break;
	case 1:
		model.interrupts = value;
		break;
	case 2:
		model.fifo = value;
		break;
	case 3:
		if ((value & DLAB) && !(model.line_control & DLAB))
			model.latch_opened++;
		model.line_control = value;
		break;
	case 4:
		model.modem_control = value;
		break;
	default:
		fail_msg("register %u is written", reg);
	}
}

static int set_up(void **state __attribute__((unused)))
{
	memset(&model, 0, sizeof(model));
	model.line_control = 0x03;
	model.modem_control = 0x0b;
	model.divisor = DIVISOR;
	model.fifo = 0x07;
	serial_init(&found);
	assert_int_equal(model.line_control, 0x03);
	assert_int_equal(model.divisor, DIVISOR);
	model.latch_opened = 0;
	return 0;
}

static void expect_sent(const char *text)
{
	assert_string_equal(model.sent, text);
	memset(model.sent, 0, sizeof(model.sent));
	model.count = 0;
}

TEST(writes_lines)
{
	serial_write("ab\n", 3);
	expect_sent("ab\r\n");
}

/* The guest's next access must find them as they were, and never the latch open. */
TEST(puts_back_what_the_guest_has_set)
{
	static const uint8_t line[] = { 0x03, 0x00, 0x1b, 0x03 | BREAK, DLAB | 0x03 };
	static const uint8_t modem[] = { 0x0b, LOOP, LOOP | 0x0f, AUTO_FLOW | 0x02, 0x00 };

	for (size_t i = 0; i < COUNT_OF(line); i++)
		for (size_t j = 0; j < COUNT_OF(modem); j++) {
			model.line_control = line[i];
			model.modem_control = modem[j];
			model.interrupts = 0x05;
			serial_write("x", 1);
			expect_sent("x");
			assert_int_equal(model.line_control, line[i]);
			assert_int_equal(model.modem_control, modem[j]);
			assert_int_equal(model.interrupts, 0x05);
			assert_int_equal(model.fifo, 0x07);
			/* Only where the guest has it open. */
			assert_int_equal(model.latch_opened, line[i] & DLAB ? 1 : 0);
			model.latch_opened = 0;
		}
}

TEST(takes_it_back)
{
	model.line_control = DLAB | BREAK;
	model.modem_control = LOOP | AUTO_FLOW;
	model.interrupts = 0x0f;
	model.divisor = 0xffff;
	model.fifo = 0;
	serial_take_back();
	assert_int_equal(model.divisor, DIVISOR);
	assert_int_equal(model.interrupts, 0);
	assert_int_equal(model.fifo, 0x07);
	serial_write("end", 3);
	expect_sent("end");
	assert_int_equal(model.line_control, 0x03);
}

/* A guest can make it look dead for a while; its lines are the log of memory's then. */
TEST(is_tried_again_at_the_end)
{
	model.dead = true;
	for (int i = 0; i < 3; i++)
		serial_write("x", 1);
	model.dead = false;
	serial_write("x", 1);
	expect_sent("");
	serial_take_back();
	serial_write("end", 3);
	expect_sent("end");
}

TEST(none_stays_none)
{
	const struct uart none = { .kind = UART_NONE };

	serial_init(&none);
	serial_take_back();
	serial_write("x", 1);
	expect_sent("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(writes_lines, set_up),
		cmocka_unit_test_setup(puts_back_what_the_guest_has_set, set_up),
		cmocka_unit_test_setup(takes_it_back, set_up),
		cmocka_unit_test_setup(is_tried_again_at_the_end, set_up),
		cmocka_unit_test_setup(none_stays_none, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
