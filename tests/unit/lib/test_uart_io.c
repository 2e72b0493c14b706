/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/uart_io.c: registers in memory, at their distance and no byte beside them.
 */
#include "tests/unit/unit.h"
#include "lib/uart.h"

#define UNTOUCHED 0xee

static union {
	uint8_t bytes[8 * UART_REGISTERS];
	uint64_t aligned;
} memory;

TEST(registers_in_memory)
{
	static const struct {
		uint32_t stride, width;
	} cases[] = { { 1, 8 }, { 2, 8 }, { 2, 16 }, { 4, 8 }, { 4, 16 }, { 4, 32 }, { 8, 32 } };

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct uart uart = { (uintptr_t)memory.bytes, UART_MMIO,	   cases[i].stride,
					   cases[i].width,	    UART_CLOCK_PC, 0 };

		memset(&memory, UNTOUCHED, sizeof(memory));
		for (uint32_t reg = 0; reg < UART_REGISTERS; reg++)
			uart_write(&uart, reg, (uint8_t)(0x10 + reg));
		for (uint32_t reg = 0; reg < UART_REGISTERS; reg++)
			assert_int_equal(uart_read(&uart, reg), 0x10 + reg);
		for (size_t at = 0; at < sizeof(memory.bytes); at++) {
			const size_t reg = at / cases[i].stride;
			const size_t byte = at % cases[i].stride;
			uint8_t expected = UNTOUCHED;

			if (reg < UART_REGISTERS && byte < cases[i].width / 8)
				expected = byte == 0 ? (uint8_t)(0x10 + reg) : 0;
			assert_int_equal(memory.bytes[at], expected);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(registers_in_memory) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
