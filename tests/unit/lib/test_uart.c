/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/uart.c over a model of a 16550, sound and broken.
 */
#include "tests/unit/unit.h"
#include "lib/uart.h"

#define SENT_MAX 64
#define DLAB	 0x80

static struct {
	bool absent, no_scratch, no_loopback, never_ready;
	uint8_t line_control, modem_control, fifo_control, scratch;
	uint8_t divisor[2];
	uint8_t interrupts;
	uint32_t busy; /* reads of the line status until a byte has left */
	uint32_t wait;
	uint64_t polls;
	char sent[SENT_MAX];
	size_t count;
	int received; /* -1: nothing */
} model;

static struct uart uart;

static int set_up(void **state __attribute__((unused)))
{
	memset(&model, 0, sizeof(model));
	model.received = -1;
	model.line_control = 0x1b;
	model.scratch = 0x77;
	uart = (struct uart){ 0x3f8, UART_PORT, 1, 8, UART_CLOCK_PC, 0 };
	return 0;
}

static uint8_t line_status(void)
{
	model.polls++;
	if (model.wait > 0)
		model.wait--;
	if (model.never_ready || model.wait > 0)
		return 0;
	return (uint8_t)(0x60 | (model.received >= 0));
}

static uint8_t received(void)
{
	const uint8_t byte = (uint8_t)model.received;

	model.received = -1;
	return byte;
}

static uint8_t modem_status(void)
{
	if (!(model.modem_control & 0x10) || model.no_loopback)
		return 0x30;
	/* DTR to DSR, RTS to CTS, OUT1 to RI, OUT2 to DCD */
	return (uint8_t)((model.modem_control & 1) << 5 | (model.modem_control & 2) << 3 |
			 (model.modem_control & 4) << 4 | (model.modem_control & 8) << 4);
}

uint8_t uart_read(const struct uart *read, uint32_t reg)
{
	assert_ptr_equal(read, &uart);
	if (model.absent)
		return 0xff;
	switch (reg) {
	case 0:
		return model.line_control & DLAB ? model.divisor[0] : received();
	case 1:
		assert_true(model.line_control & DLAB);
		return model.divisor[1];
	case 3:
		return model.line_control;
	case 4:
		return model.modem_control;
	case 5:
		return line_status();
	case 6:
		return modem_status();
	case 7:
		return model.no_scratch ? 0 : model.scratch;
	default:
		fail_msg("register %u is read", reg);
		return 0;
	}
}

static void write_data(uint8_t value)
{
	assert_int_equal(model.wait, 0);
	assert_true(model.count < SENT_MAX);
	model.sent[model.count++] = (char)value;
	model.wait = model.busy;
}

void uart_write(const struct uart *written, uint32_t reg, uint8_t value)
{
	assert_ptr_equal(written, &uart);
	if (reg < 2 && (model.line_control & DLAB)) {
		model.divisor[reg] = value;
		return;
	}
	switch (reg) {
	case 0:
		write_data(value);
		break;
	case 1:
		model.interrupts = value;
		break;
	case 2:
		model.fifo_control = value;
		break;
	case 3:
		model.line_control = value;
		break;
	case 4:
		model.modem_control = value;
		break;
	case 7:
		model.scratch = value;
		break;
	default:
		fail_msg("register %u is written", reg);
	}
}

TEST(is_found_by_its_scratch_register)
{
	model.no_loopback = true;
	assert_true(uart_answers(&uart));
	assert_int_equal(model.scratch, 0x77);
}

TEST(is_found_by_its_loopback)
{
	model.no_scratch = true;
	model.modem_control = 0x0b;
	assert_true(uart_answers(&uart));
	assert_int_equal(model.modem_control, 0x0b);
}

TEST(is_not_found_where_nothing_is)
{
	model.absent = true;
	assert_false(uart_answers(&uart));
	set_up(NULL);
	model.no_scratch = true;
	model.no_loopback = true;
	assert_false(uart_answers(&uart));
	set_up(NULL);
	uart.kind = UART_NONE;
	assert_false(uart_answers(&uart));
}

TEST(gets_its_speed)
{
	static const struct {
		uint32_t clock, baud;
		uint8_t low, high;
	} cases[] = {
		{ UART_CLOCK_PC, 115200, 1, 0 },    { UART_CLOCK_PC, 9600, 12, 0 },
		{ UART_CLOCK_PC, 110, 0x17, 0x04 }, { UART_CLOCK_PC, 4000000, 1, 0 },
		{ UART_CLOCK_PC, 1, 0xff, 0xff },   { 48000000, 115200, 26, 0 },
		{ UINT32_MAX, 1, 0xff, 0xff },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uart.clock = cases[i].clock;
		uart_set_up(&uart, cases[i].baud);
		assert_int_equal(model.divisor[0], cases[i].low);
		assert_int_equal(model.divisor[1], cases[i].high);
		assert_int_equal(model.line_control, 0x03);
		assert_int_equal(model.fifo_control, 0x07);
		assert_int_equal(model.modem_control, 0x0b);
	}
	assert_int_equal(model.count, 0);
}

TEST(sends_when_it_is_ready)
{
	model.busy = 1000;
	uart_put(&uart, 'a');
	uart_put(&uart, 'b');
	assert_memory_equal(model.sent, "ab", 2);
	uart_drain(&uart);
	assert_int_equal(model.wait, 0);
	assert_int_equal(uart.kind, UART_PORT);
}

/* However much is written to it: three timeouts, and never another look. */
TEST(that_never_gets_ready_is_given_up)
{
	uint64_t polls;

	model.never_ready = true;
	for (int i = 0; i < 3; i++)
		uart_put(&uart, 'x');
	assert_int_equal(uart.kind, UART_NONE);
	polls = model.polls;
	assert_true(polls < 1000000);
	for (int i = 0; i < 1000; i++)
		uart_put(&uart, 'x');
	uart_drain(&uart);
	assert_int_equal(uart_get(&uart), -1);
	assert_int_equal(model.polls, polls);
	assert_int_equal(model.count, 0);
}

TEST(that_is_late_at_times_is_kept)
{
	for (int i = 0; i < 5; i++) {
		model.never_ready = true;
		uart_put(&uart, 'x');
		uart_put(&uart, 'x');
		model.never_ready = false;
		uart_put(&uart, 'y');
	}
	assert_int_equal(uart.kind, UART_PORT);
	assert_int_equal(model.count, 5);
	assert_memory_equal(model.sent, "yyyyy", 5);
}

TEST(tells_its_divisor)
{
	model.divisor[0] = 0x34;
	model.divisor[1] = 0x12;
	assert_int_equal(uart_divisor(&uart), 0x1234);
	assert_int_equal(model.line_control, 0x1b);
}

/* As a guest can leave it: the latch open, in loopback, 5 bits, FIFOs off, a byte on its way. */
TEST(is_set_up_anew)
{
	model.line_control = DLAB;
	model.divisor[0] = model.divisor[1] = 0xff;
	model.modem_control = 0x30;
	model.interrupts = 0x0f;
	model.wait = 100;
	uart_set_up_anew(&uart, 0x0102);
	assert_int_equal(model.wait, 0);
	assert_int_equal(model.divisor[0], 2);
	assert_int_equal(model.divisor[1], 1);
	assert_int_equal(model.interrupts, 0);
	assert_int_equal(model.line_control, 0x03);
	assert_int_equal(model.fifo_control, 0x07);
	assert_int_equal(model.modem_control, 0x0b);
	assert_int_equal(model.count, 0);
	uart.kind = UART_NONE;
	uart_set_up_anew(&uart, 1);
	assert_int_equal(model.divisor[0], 2);
}

TEST(receives)
{
	assert_int_equal(uart_get(&uart), -1);
	model.received = 0xe4;
	assert_int_equal(uart_get(&uart), 0xe4);
	assert_int_equal(uart_get(&uart), -1);
	model.absent = true; /* its status says "data" */
	assert_int_equal(uart_get(&uart), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(is_found_by_its_scratch_register, set_up),
		cmocka_unit_test_setup(is_found_by_its_loopback, set_up),
		cmocka_unit_test_setup(is_not_found_where_nothing_is, set_up),
		cmocka_unit_test_setup(gets_its_speed, set_up),
		cmocka_unit_test_setup(sends_when_it_is_ready, set_up),
		cmocka_unit_test_setup(that_never_gets_ready_is_given_up, set_up),
		cmocka_unit_test_setup(that_is_late_at_times_is_kept, set_up),
		cmocka_unit_test_setup(tells_its_divisor, set_up),
		cmocka_unit_test_setup(is_set_up_anew, set_up),
		cmocka_unit_test_setup(receives, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
